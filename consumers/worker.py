"""The loop that every worker runs: take, handle, settle, commit.

    this thread    take ─► poll all the while ────────────────────────► mark ─► commit
    hands            └──► parse ─► handle ─► settle failures ─► finish ──┘
    ahead                 begin what the next batch needs

One thread owns the Kafka consumer and never waits for anything else, so that a slow batch, or an index that is
away, costs the worker neither its partitions nor its heartbeat. The hands do the work of one batch at a time.
"""

import time
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Protocol

from consumers.delivery import Batch, Delivery
from consumers.hands import Hands, Stop
from consumers.settle import RawSink
from consumers.valve import ValveClosed
from infra.health import DRAINING, HOLDING, READY, STARTING
from infra.kafka import EventSource, Record
from schemas.envelope import Event

BEHIND_TIMES = 16
"""How many times larger batches are while most of what they hold came too late."""
LOOK_SECONDS = 0.05
"""How often this thread polls while the hands are busy."""
DRAIN_SECONDS = 10.0
"""How long a batch may take to end after the worker was told to stop."""
REVOKE_SECONDS = 5.0
"""How long partitions that go to another worker wait for the batch in hand."""
STUCK_SECONDS = 300.0
"""A batch that takes longer is stuck: the heartbeat stops, so that somebody starts the worker anew."""


class Sink(RawSink, Protocol):
    """Where events go; infra.kafka.EventSink and TransactionSink are two."""

    def send(self, topic: str, key: str, event: Event, partition: int | None = None) -> None: ...


class Pulse(Protocol):
    """Who hears that a worker is alive; infra.health.Heartbeat is one."""

    def beat(self, state: str = READY, why: str | None = None) -> None: ...


class TooSlow(Exception):
    """The batch in hand did not end in time after the worker was told to stop; it will be done again."""


@dataclass(frozen=True)
class Batches:
    """How large a batch may grow: in records, and in seconds after the first of them."""

    records: int
    seconds: float


@dataclass
class InHand:
    """A batch that the hands are at."""

    batch: Batch
    work: "Future[list[Record]]"
    since: float = field(default_factory=time.monotonic)
    marked: bool = False


class Worker:
    """Takes batches, has them handled, and commits them only when all that they led to is safe."""

    def __init__(
        self, source: EventSource, hands: Hands, delivery: Delivery, batches: Batches, pulse: Pulse
    ) -> None:
        self._source = source
        self._source.before_revoke = self._let_go
        self._hands = hands
        self._delivery = delivery
        self._batches = batches
        self._pulse = pulse
        self._pool = ThreadPoolExecutor(1, "hands")
        self._in_hand: InHand | None = None

    def run(self, stop: Stop, idle_seconds: float = 1.0) -> None:
        """Work until told to stop: at once after the batch in hand, or when nothing came for `idle_seconds`.

        Raises ValveClosed, infra.kafka.Fenced, and TooSlow when that batch takes more than 10 s to end.
        """
        last_work = time.monotonic()
        try:
            while not stop.now:
                if self.step(stop) or not self._source.assigned:
                    last_work = time.monotonic()
                elif stop.when_idle and time.monotonic() - last_work > idle_seconds:
                    break
        finally:
            self._hands.wake()
            self._delivery.commit_now()
            self._pool.shutdown(wait=False)

    def step(self, stop: Stop) -> bool:
        """One turn: whether there was anything to do, or is."""
        limit = self._batches.records * (BEHIND_TIMES if self._hands.is_behind() else 1)
        records = self._source.take(limit, self._batches.seconds)
        batch = Batch(records, self._source.turn, self._source.group_metadata() if records else None)
        work = self._pool.submit(self._hands.work, batch, stop) if records else self._pool.submit(self._hands.idle)
        self._wait(InHand(batch, work), stop)
        self._beat(stop)
        self._delivery.commit_if_due()
        return bool(records) or self._source.waiting > 0

    def _wait(self, in_hand: InHand, stop: Stop) -> None:
        """Poll until the hands are done; then what they did may be committed."""
        self._in_hand, told = in_hand, 0.0
        while not wait([in_hand.work], LOOK_SECONDS).done:
            self._source.look_ahead()
            self._hands.look_ahead(partial(self._source.upcoming, self._batches.records))
            self._beat(stop)
            if stop.now:
                self._hands.wake()
                told = told or time.monotonic()
                if time.monotonic() - told > DRAIN_SECONDS:
                    raise TooSlow(f"the batch in hand was not done {DRAIN_SECONDS:.0f} s after the signal")
        self._in_hand = None
        self._mark(in_hand)

    def _mark(self, in_hand: InHand) -> None:
        """Mark the records that the hands have done, once; raises what went wrong in them."""
        if in_hand.marked:
            return
        in_hand.marked = True
        if done := in_hand.work.result():
            self._delivery.done(replace(in_hand.batch, records=done))
        if self._hands.closed is not None:
            raise ValveClosed(self._hands.closed)

    def _let_go(self) -> None:
        """Partitions are about to go: finish the batch in hand if that is quick, and commit what is done."""
        if self._in_hand is not None and wait([self._in_hand.work], REVOKE_SECONDS).done:
            self._mark(self._in_hand)
        self._delivery.commit_now()

    def _beat(self, stop: Stop) -> None:
        """Say that the worker is alive, and what it does, unless it has been at one batch for too long."""
        since = self._in_hand.since if self._in_hand else time.monotonic()
        if not self._source.assigned:
            self._pulse.beat(STARTING)
        elif self._hands.away is not None:
            self._pulse.beat(HOLDING, self._hands.away)
        elif time.monotonic() - since < STUCK_SECONDS:
            self._pulse.beat(DRAINING if stop.when_idle or stop.now else READY)
