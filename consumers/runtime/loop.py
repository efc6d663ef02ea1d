"""The loop that every worker runs: take, process, commit.

    polling thread      take ─► poll all the while ───────────────► commit each part as it is finished
    processing thread     └──► read ─► handle ─► route failures ──────┘
    look-ahead thread          prepare what the next batch needs

The polling thread owns the Kafka consumer and its transactions. It waits for nothing else, so that a slow batch, or
an index that is away, costs the worker neither its partitions nor its heartbeat. Since partitions come and go only
while it polls, what it commits is still this member's.
"""

import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue

import structlog

from consumers.runtime.batch_processor import BatchOverdue, BatchProcessor, BatchWork
from consumers.runtime.commit import CommitStrategy, FinishedBatch, commit_or_log
from consumers.runtime.inflight_batch import InFlightBatch
from consumers.runtime.parsing import ParsedRecord
from consumers.runtime.ports import Heartbeat
from consumers.runtime.shutdown import ShutdownSignal
from infra.kafka import Batch, EventSource, Partition, PartitionsRevoked, nothing_to_finish
from infra.observability.heartbeat import DRAINING, HOLDING, READY, STARTING
from schemas.failures import Unavailable

BEHIND_TIMES = 16
"""How many times larger batches are while most of what they hold came too late."""
POLL_SECONDS = 0.05
"""How often the polling thread polls while a batch is processed."""
DEFER_SECONDS = 0.03
"""How often deferred records are asked about."""
DRAIN_SECONDS = 10.0
"""How long a batch may take to end after the worker was told to stop."""
REVOKE_SECONDS = 3.0
"""How long all partitions that go to another worker at one time wait for what is in progress of them."""
LAST_COMMIT_SECONDS = 1.0
"""How much longer what was finished by then may take to be committed."""
UNSURE_SECONDS = 10.0
"""A worker to which nothing comes for so long is idle, whatever the ends of its partitions say."""
STUCK_SECONDS = 300.0
"""A batch that takes longer is stuck: the heartbeat stops, so that somebody starts the worker anew."""


class DrainTimeout(Exception):
    """The batch in progress did not end in time after the worker was told to stop; it will be done again."""


@dataclass(frozen=True)
class BatchSize:
    """How large a batch may grow: in records, and in seconds after the first of them."""

    records: int
    seconds: float


class WorkerLoop:
    """Takes batches, has them processed, and commits them only when all that they led to is safe."""

    def __init__(
        self,
        source: EventSource,
        processor: BatchProcessor,
        strategy: CommitStrategy,
        size: BatchSize,
        heartbeat: Heartbeat,
    ) -> None:
        self._source = source
        source.call_before_revoke(self._before_revoke)
        self._processor = processor
        self._strategy = strategy
        self._size = size
        self._heartbeat = heartbeat
        self._pauses = processor.pauses
        self._pool = ThreadPoolExecutor(1, "processing")
        self._in_progress: InFlightBatch | None = None
        self._uncommitted: deque[FinishedBatch] = deque()
        self._deferred: list[ParsedRecord] = []
        self._deferred_batch = Batch()
        self._away: str | None = None
        """What the commit of a finished batch waits for, while it does."""

    def run(self, shutdown: ShutdownSignal, idle_seconds: float = 1.0) -> None:
        """Work until told to stop: at once after the batch in progress, or when nothing came for `idle_seconds`.

        Raises infra.kafka.Fenced and KafkaFault, BatchOverdue, and DrainTimeout when that batch takes over 10 s.
        """
        last_work = time.monotonic()
        try:
            while not shutdown.now:
                if self.step(shutdown) or not self._source.assigned:
                    last_work = time.monotonic()
                elif shutdown.when_idle and self._is_idle(time.monotonic() - last_work, idle_seconds):
                    break
            self._secure(DRAIN_SECONDS)
        finally:
            self._processor.stop_waiting()
            commit_or_log(self._strategy.commit_now)
            self._source.call_before_revoke(nothing_to_finish)
            self._pool.shutdown(wait=False)
            self._processor.close()

    def _is_idle(self, seconds: float, idle_seconds: float) -> bool:
        """Whether nothing came for so long, and nothing is known to be on its way."""
        return seconds > UNSURE_SECONDS or (seconds > idle_seconds and self._source.is_caught_up())

    def step(self, shutdown: ShutdownSignal) -> bool:
        """One turn: whether there was anything to do, or is."""
        for hold in (self._source.hold, self._processor.hold):
            if hold is not None and time.monotonic() - hold.since > self._pauses.seconds:
                raise BatchOverdue(f"for {self._pauses.seconds:.0f} s the work could not go on: {hold.why}")
        limit = self._size.records * (BEHIND_TIMES if self._processor.is_behind() else 1)
        idle_seconds = DEFER_SECONDS if self._deferred else 0.2
        taken = self._source.take(limit, self._size.seconds, idle_seconds)
        deferred = self._owned_deferred()
        finished: SimpleQueue[FinishedBatch | None] = SimpleQueue()
        if taken.records or self._deferred:
            batch = taken + Batch((), deferred.epochs)
            work = BatchWork(batch, self._deferred, self._source.owned, finished.put, shutdown)
            future = self._pool.submit(self._processor.process, work)
        else:
            future = self._pool.submit(self._processor.idle)
        future.add_done_callback(lambda _future: finished.put(None))
        self._see_through(InFlightBatch(taken + deferred, future, finished), shutdown)
        self._beat(shutdown)
        commit_or_log(self._strategy.commit_soon)
        return bool(taken.records or self._deferred) or self._source.waiting > 0

    def _see_through(self, in_progress: InFlightBatch, shutdown: ShutdownSignal) -> None:
        """Poll until a batch is processed, and commit what is finished as it comes."""
        self._in_progress, stopping = in_progress, 0.0
        while not in_progress.is_over:
            self._uncommitted.extend(in_progress.collect(POLL_SECONDS))
            self._commit(shutdown)
            self._source.look_ahead()
            self._processor.look_ahead(partial(self._source.upcoming, self._size.records))
            self._beat(shutdown)
            if shutdown.now:
                self._processor.stop_waiting()
                stopping = stopping or time.monotonic()
                if time.monotonic() - stopping > DRAIN_SECONDS:
                    raise DrainTimeout(f"the batch in progress was not done {DRAIN_SECONDS:.0f} s after the signal")
        self._in_progress = None
        self._deferred = in_progress.future.result()
        self._deferred_batch = in_progress.batch.only([each.record for each in self._deferred])

    def _commit(self, shutdown: ShutdownSignal) -> None:
        """Commit what is finished, in its order, again and again while that does not work now."""
        pauses, began = self._pauses.pauses(), time.monotonic()
        while self._uncommitted and not self._commit_once():
            pause = next(pauses, None)
            if pause is None:
                raise BatchOverdue(f"for {self._pauses.seconds:.0f} s a batch could not be committed: {self._away}")
            structlog.get_logger().warning("holding", why=self._away, seconds=round(pause, 1))
            until = time.monotonic() + pause
            while time.monotonic() < until and self._uncommitted:
                self._beat(shutdown)
                self._source.look_ahead()  # the group may have moved on, and says so while it is polled
                time.sleep(POLL_SECONDS)
            if shutdown.now and time.monotonic() - began > DRAIN_SECONDS:
                self._uncommitted.clear()  # nothing of it was sent: the next owner does it again

    def _commit_once(self) -> bool:
        """Commit what is finished; whether that worked."""
        try:
            while self._uncommitted:
                self._strategy.commit(self._uncommitted[0])
                self._uncommitted.popleft()
        except (Unavailable, PartitionsRevoked) as away:
            self._away = str(away)
            return False
        self._away = None
        return True

    def _before_revoke(self, places: Sequence[Partition]) -> None:
        """Partitions are about to go: finish what is in progress of them if that is quick, and commit what is done.

        What is not finished by then is dropped when it is: the next owner takes it.
        """
        until = time.monotonic() + REVOKE_SECONDS
        in_progress = self._in_progress
        with self._strategy.deadline(REVOKE_SECONDS + LAST_COMMIT_SECONDS):
            if in_progress is not None and self._holds(in_progress, places):
                while not in_progress.is_over and time.monotonic() < until and self._processor.away is None:
                    self._uncommitted.extend(in_progress.collect(POLL_SECONDS))
                    if not self._commit_once():
                        break
            self._commit_once()
        self._secure(max(0.0, until - time.monotonic()))
        commit_or_log(self._strategy.commit_now)

    def _holds(self, in_progress: InFlightBatch, places: Sequence[Partition]) -> bool:
        return any(record.place in places for record in self._source.owned(in_progress.batch).records)

    def _secure(self, seconds: float) -> None:
        """Have what is finished made durable, if the processing thread is free for it."""
        if self._in_progress is None or self._in_progress.is_over:
            wait([self._pool.submit(self._processor.secure_now)], seconds)

    def _owned_deferred(self) -> Batch:
        """What was deferred, less what has gone to other members."""
        owned = self._source.owned(self._deferred_batch)
        places = {record.place for record in owned.records}
        self._deferred = [each for each in self._deferred if each.record.place in places]
        return owned

    def _beat(self, shutdown: ShutdownSignal) -> None:
        """Say that the worker is alive, and what it does, unless it has been at one batch for too long."""
        since = self._in_progress.since if self._in_progress else time.monotonic()
        holds = [hold.why for hold in (self._source.hold, self._processor.hold) if hold is not None]
        away = self._processor.away or self._away or next(iter(holds), None) or self._source.problems.newest
        if away is not None:
            self._heartbeat.beat(HOLDING, away)
        elif not self._source.assigned:
            self._heartbeat.beat(STARTING)
        elif time.monotonic() - since < STUCK_SECONDS:
            self._heartbeat.beat(DRAINING if shutdown.when_idle or shutdown.now else READY)
