"""Worker loop: takes batches from Kafka, has them processed, and commits them.

    polling thread      take ─► poll continuously ────────────────► commit each part as it is finished
    processing thread     └──► parse ─► handle ─► route failures ─────┘
    look-ahead thread          prepare the records of the next batch

The polling thread owns the Kafka consumer and its transactions. It waits for nothing else, so a slow batch or an
unavailable index costs the worker neither its partitions nor its heartbeat. Partitions are assigned and revoked
only during a poll, so the partitions that this thread commits still belong to this member.
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
from consumers.runtime.batches import FinishedBatch, InFlightBatch
from consumers.runtime.commit import CommitStrategy, commit_or_log
from consumers.runtime.parsing import ParsedRecord
from consumers.runtime.ports import Heartbeat
from consumers.runtime.shutdown import ShutdownSignal
from infra.kafka import Batch, EventSource, Partition, PartitionsRevoked, no_revoke_callback
from infra.observability.heartbeat import DRAINING, HOLDING, READY, STARTING
from schemas.failures import Unavailable

CATCH_UP_FACTOR = 16
"""Batches are this many times larger while most of their records came too late."""
POLL_SECONDS = 0.05
"""How often the polling thread polls while a batch is processed."""
DEFER_SECONDS = 0.03
"""How often deferred records are checked again."""
DRAIN_SECONDS = 10.0
"""How long the batch in progress may take to end after a stop request."""
REVOKE_SECONDS = 3.0
"""How long a revocation, of all its partitions together, waits for the batch in progress."""
LAST_COMMIT_SECONDS = 1.0
"""Additional time to commit what was finished within REVOKE_SECONDS."""
IDLE_LIMIT_SECONDS = 10.0
"""A worker without new records for so long is idle, whatever the end offsets of its partitions say."""
STUCK_SECONDS = 300.0
"""A batch that takes longer is stuck: the heartbeat stops, so that the worker gets restarted."""


class DrainTimeout(Exception):
    """The batch in progress did not end in time after a stop request; it will be processed again."""


@dataclass(frozen=True)
class BatchSize:
    """Limits of a batch: its records, and the seconds to wait for more of them after the first."""

    records: int
    seconds: float


class WorkerLoop:
    """Takes batches, has them processed, and commits them only once their results are durable."""

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
        self._backoff = processor.backoff
        self._pool = ThreadPoolExecutor(1, "processing")
        self._in_progress: InFlightBatch | None = None
        self._uncommitted: deque[FinishedBatch] = deque()
        self._deferred: list[ParsedRecord] = []
        self._deferred_batch = Batch()
        self._commit_error: str | None = None
        """Why the commit of a finished batch is being retried; None while it is not."""

    def run(self, shutdown: ShutdownSignal, idle_seconds: float = 1.0) -> None:
        """Run until shutdown: after the batch in progress, or once no records came for `idle_seconds`.

        Raises infra.kafka.Fenced, KafkaFault, BatchOverdue, and DrainTimeout when the last batch takes over 10 s.
        """
        last_active_at = time.monotonic()
        try:
            while not shutdown.now:
                if self.step(shutdown) or not self._source.assigned:
                    last_active_at = time.monotonic()
                elif shutdown.when_idle and self._is_idle(time.monotonic() - last_active_at, idle_seconds):
                    break
            self._persist(DRAIN_SECONDS)
        finally:
            self._processor.stop_waiting()
            commit_or_log(self._strategy.commit_sync)
            self._source.call_before_revoke(no_revoke_callback)
            self._pool.shutdown(wait=False)
            self._processor.close()

    def _is_idle(self, seconds: float, idle_seconds: float) -> bool:
        """Whether no records came for `idle_seconds` and none are left, or none came for IDLE_LIMIT_SECONDS."""
        return seconds > IDLE_LIMIT_SECONDS or (seconds > idle_seconds and self._source.is_caught_up())

    def step(self, shutdown: ShutdownSignal) -> bool:
        """Do one turn of the loop; returns whether there were records, or more are buffered."""
        for hold in (self._source.hold, self._processor.hold):
            if hold is not None and time.monotonic() - hold.since > self._backoff.seconds:
                raise BatchOverdue(f"for {self._backoff.seconds:.0f} s the work could not continue: {hold.reason}")
        limit = self._size.records * (CATCH_UP_FACTOR if self._processor.is_behind() else 1)
        idle_seconds = DEFER_SECONDS if self._deferred else 0.2
        batch = self._source.poll_batch(limit, self._size.seconds, idle_seconds)
        deferred = self._drop_revoked_deferred()
        finished: SimpleQueue[FinishedBatch | None] = SimpleQueue()
        if batch.records or self._deferred:
            to_process = batch + Batch((), deferred.epochs)
            work = BatchWork(to_process, self._deferred, self._source.filter_owned, finished.put, shutdown)
            future = self._pool.submit(self._processor.process, work)
        else:
            future = self._pool.submit(self._processor.idle)
        future.add_done_callback(lambda _future: finished.put(None))
        self._poll_until_processed(InFlightBatch(batch + deferred, future, finished), shutdown)
        self._send_heartbeat(shutdown)
        commit_or_log(self._strategy.commit_async)
        return bool(batch.records or self._deferred) or self._source.buffered_count > 0

    def _poll_until_processed(self, in_progress: InFlightBatch, shutdown: ShutdownSignal) -> None:
        """Poll until a batch is processed, and commit each part as it is finished."""
        self._in_progress, stop_requested_at = in_progress, 0.0
        while not in_progress.is_complete:
            self._uncommitted.extend(in_progress.collect(POLL_SECONDS))
            self._commit(shutdown)
            self._source.prefetch()
            self._processor.prepare_upcoming(partial(self._source.peek, self._size.records))
            self._send_heartbeat(shutdown)
            if shutdown.now:
                self._processor.stop_waiting()
                stop_requested_at = stop_requested_at or time.monotonic()
                if time.monotonic() - stop_requested_at > DRAIN_SECONDS:
                    raise DrainTimeout(f"the batch in progress was not done {DRAIN_SECONDS:.0f} s after the signal")
        self._in_progress = None
        self._deferred = in_progress.future.result()
        self._deferred_batch = in_progress.batch.only([entry.record for entry in self._deferred])

    def _commit(self, shutdown: ShutdownSignal) -> None:
        """Commit the finished parts in their order, with retries while the broker is unavailable."""
        pauses, started_at = self._backoff.pauses(), time.monotonic()
        while self._uncommitted and not self._commit_once():
            pause = next(pauses, None)
            if pause is None:
                raise BatchOverdue(
                    f"for {self._backoff.seconds:.0f} s a batch could not be committed: {self._commit_error}"
                )
            structlog.get_logger().warning(
                "commit not possible yet", reason=self._commit_error, seconds=round(pause, 1)
            )
            pause_end = time.monotonic() + pause
            while time.monotonic() < pause_end and self._uncommitted:
                self._send_heartbeat(shutdown)
                self._source.prefetch()  # a poll, in which a rebalance of the group takes effect
                time.sleep(POLL_SECONDS)
            if shutdown.now and time.monotonic() - started_at > DRAIN_SECONDS:
                self._uncommitted.clear()  # nothing of it was sent: the next owner processes it again

    def _commit_once(self) -> bool:
        """Commit the finished parts once; returns whether that succeeded."""
        try:
            while self._uncommitted:
                self._strategy.commit(self._uncommitted[0])
                self._uncommitted.popleft()
        except (Unavailable, PartitionsRevoked) as error:
            self._commit_error = str(error)
            return False
        self._commit_error = None
        return True

    def _before_revoke(self, partitions: Sequence[Partition]) -> None:
        """Before partitions are revoked: wait up to REVOKE_SECONDS for their records in progress, then commit.

        Records that finish later are dropped: the next owner processes them.
        """
        deadline = time.monotonic() + REVOKE_SECONDS
        in_progress = self._in_progress
        with self._strategy.deadline(REVOKE_SECONDS + LAST_COMMIT_SECONDS):
            if in_progress is not None and self._owns_records_of(in_progress, partitions):
                while (
                    not in_progress.is_complete
                    and time.monotonic() < deadline
                    and self._processor.unavailable_reason is None
                ):
                    self._uncommitted.extend(in_progress.collect(POLL_SECONDS))
                    if not self._commit_once():
                        break
            self._commit_once()
        self._persist(max(0.0, deadline - time.monotonic()))
        commit_or_log(self._strategy.commit_sync)

    def _owns_records_of(self, in_progress: InFlightBatch, partitions: Sequence[Partition]) -> bool:
        return any(record.place in partitions for record in self._source.filter_owned(in_progress.batch).records)

    def _persist(self, seconds: float) -> None:
        """Make finished work durable, if the processing thread is free; wait up to `seconds` for it."""
        if self._in_progress is None or self._in_progress.is_complete:
            wait([self._pool.submit(self._processor.persist_now)], seconds)

    def _drop_revoked_deferred(self) -> Batch:
        """Drop deferred records of revoked partitions, and return the batch of those that are left."""
        owned = self._source.filter_owned(self._deferred_batch)
        partitions = {record.place for record in owned.records}
        self._deferred = [entry for entry in self._deferred if entry.record.place in partitions]
        return owned

    def _send_heartbeat(self, shutdown: ShutdownSignal) -> None:
        """Report the state of the worker; READY or DRAINING only while its batch takes less than STUCK_SECONDS."""
        started_at = self._in_progress.started_at if self._in_progress else time.monotonic()
        holds = [hold.reason for hold in (self._source.hold, self._processor.hold) if hold is not None]
        problem = (
            self._processor.unavailable_reason
            or self._commit_error
            or next(iter(holds), None)
            or self._source.problems.newest
        )
        if problem is not None:
            self._heartbeat.beat(HOLDING, problem)
        elif not self._source.assigned:
            self._heartbeat.beat(STARTING)
        elif time.monotonic() - started_at < STUCK_SECONDS:
            self._heartbeat.beat(DRAINING if shutdown.when_idle or shutdown.now else READY)
