"""Delivery: how what a batch came to is made safe, together with how far its records have been read."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog

from consumers.settle import RawSink
from infra.kafka import EventSource, Record, TransactionSink
from schemas.failures import Unavailable


@dataclass(frozen=True)
class Batch:
    """Records to be done, and what their source said when they were taken."""

    records: Sequence[Record]
    turn: int
    """The source's `turn`."""
    group: object
    """The source's group_metadata()."""


class Delivery(Protocol):
    """What a worker does around each batch: `begin` and `finish` in its hands, the rest where the source is."""

    def begin(self) -> None:
        """Before anything of a batch is sent; also when it is handled again."""

    def finish(self, batch: Batch) -> None:
        """Everything of a batch was sent, see that it arrived; raises Unavailable when it did not."""

    def done(self, batch: Batch) -> None:
        """A batch is finished: its offsets may be committed."""

    def commit_if_due(self) -> None:
        """Commit what is done, when it is time."""

    def commit_now(self) -> None:
        """Commit what is done, before partitions go or the worker ends."""


def nothing_to_keep() -> None:
    """For jobs whose work is safe as soon as Kafka has it."""


class AtLeastOnce:
    """Offsets follow what they stand for: the sink has it, and `keep` has made it survive a power loss.

    After a crash the records since the last commit are handled again. `keep` of the embedded index takes 0.2 s
    (DECISIONS.md), so it is called every `seconds` at the most.
    """

    def __init__(self, source: EventSource, sink: RawSink, keep: Callable[[], None], seconds: float) -> None:
        self._source = source
        self._sink = sink
        self._keep = keep
        self._seconds = seconds
        self._last = time.monotonic()
        self._fresh = False

    def begin(self) -> None:
        """Nothing to do."""

    def finish(self, _batch: Batch) -> None:
        """Wait until the sink has everything."""
        self._sink.flush()

    def done(self, batch: Batch) -> None:
        """These may be committed."""
        self._source.mark(batch.records, batch.turn)
        self._fresh = True

    def commit_if_due(self) -> None:
        """Commit, without waiting for the broker, every `seconds`."""
        if time.monotonic() - self._last < self._seconds:
            return
        self._last = time.monotonic()
        if self._is_kept():
            self._source.commit_soon()

    def commit_now(self) -> None:
        """Commit, and wait for the broker."""
        try:
            if self._is_kept():
                self._source.commit_now()
        except Unavailable as away:
            structlog.get_logger().warning("not committed, so done again later", why=str(away))

    def _is_kept(self) -> bool:
        """Keep what is new; whether that worked."""
        try:
            if self._fresh:
                self._keep()
        except Unavailable as away:
            structlog.get_logger().warning("not kept yet", why=str(away))
            return False
        self._fresh = False
        return True


class ExactlyOnce:
    """Answers and the offsets of their requests in one transaction: after a crash both are there, or neither."""

    def __init__(self, source: EventSource, sink: TransactionSink) -> None:
        self._source = source
        self._sink = sink

    def begin(self) -> None:
        """Start a transaction; what an earlier attempt at the batch had sent is forgotten."""
        self._sink.begin()

    def finish(self, batch: Batch) -> None:
        """Commit the transaction, unless another worker has been given these records meanwhile."""
        if self._sink.is_empty or not self._source.owned_since(batch.records, batch.turn):
            self._sink.abort()
        else:
            self._sink.commit(batch.records, batch.group)

    def done(self, batch: Batch) -> None:
        """The transaction has committed the offsets; without one, for lack of answers, they are committed here.

        The local broker forgets the offsets of a transaction that holds nothing else (Tansu 0.6.0, DECISIONS.md).
        """
        if self._sink.is_empty:
            self._source.mark(batch.records, batch.turn)
            self.commit_now()

    def commit_if_due(self) -> None:
        """Ask again for what `done` could not commit."""
        self._source.commit_soon()

    def commit_now(self) -> None:
        """Commit what `done` has marked."""
        try:
            self._source.commit_now()
        except Unavailable as away:
            structlog.get_logger().warning("not committed, so looked at again later", why=str(away))
