"""Commit strategies: when the offsets of a finished batch are committed.

At least once, or in one Kafka transaction with the results.
"""

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from consumers.runtime.batches import FinishedBatch
from consumers.runtime.ports import RecordSink
from infra.kafka import (
    Batch,
    EventSource,
    OffsetAndMetadata,
    OutcomeUnknown,
    OutgoingRecord,
    Partition,
    PartitionsRevoked,
    TransactionSink,
    partition_of,
    record_of_event,
)
from schemas.envelope import Event
from schemas.failures import Unavailable


class CommitStrategy(Protocol):
    """The processing thread calls `begin`, `collect` and `persist`; the polling thread calls the rest."""

    def begin(self) -> None:
        """Start an attempt at a batch, also a repeated one; nothing of the batch was sent so far."""

    def collect(self, batch: Batch) -> FinishedBatch:
        """Finish a handled batch. Raises Unavailable when the records that it sent did not arrive."""

    def persist(self, *, now: bool = False) -> bool:
        """Make finished work survive a power loss, when it is due or `now`; returns whether all of it is durable.

        Raises Unavailable.
        """

    def commit(self, finished: FinishedBatch) -> None:
        """Commit a batch, or mark it for the next commit. Raises Unavailable, PartitionsRevoked: call it again."""

    def commit_async(self) -> None:
        """Commit the marked offsets when it is due, without waiting for the broker."""

    def commit_sync(self) -> None:
        """Commit the marked offsets before a revocation or a shutdown. Raises Unavailable, PartitionsRevoked."""

    def deadline(self, seconds: float) -> AbstractContextManager[None]:
        """Bound the time for which all commits inside the block, taken together, wait for the broker."""


class AtLeastOnceCommit:
    """Commits offsets after the sink has the results and `make_durable` has made them survive a power loss.

    After a crash the records since the last commit are handled again. `make_durable` of the embedded index takes
    15 ms (DECISIONS.md), so it is called at most every `seconds`.
    """

    def __init__(
        self, source: EventSource, sink: RecordSink, make_durable: Callable[[], None], seconds: float
    ) -> None:
        self._source = source
        self._sink = sink
        self._make_durable = make_durable
        self._seconds = seconds
        self._finished = self._durable = 0
        self._persisted_at = self._committed_at = time.monotonic()
        self._uncommitted: deque[FinishedBatch] = deque()

    def begin(self) -> None:
        """Do nothing: a record that is sent twice has no further effect."""

    def collect(self, batch: Batch) -> FinishedBatch:
        """Wait until the sink has sent everything."""
        self._sink.flush()
        self._finished += 1
        return FinishedBatch(batch, sequence=self._finished)

    def persist(self, *, now: bool = False) -> bool:
        """Call `make_durable` for new finished work, at most every `seconds` or `now`."""
        finished = self._finished
        if finished != self._durable and (now or time.monotonic() - self._persisted_at >= self._seconds):
            self._persisted_at = time.monotonic()
            self._make_durable()
            self._durable = finished
        return finished == self._durable

    def commit(self, finished: FinishedBatch) -> None:
        """Queue the batch; its offsets are committed once it is durable."""
        self._uncommitted.append(finished)

    def commit_async(self) -> None:
        """Commit every `seconds`."""
        if time.monotonic() - self._committed_at >= self._seconds:
            self._committed_at = time.monotonic()
            self._mark()
            self._source.commit_async()

    def commit_sync(self) -> None:
        """Commit the durable batches, and wait for the broker."""
        self._mark()
        self._source.commit_sync()

    def deadline(self, seconds: float) -> AbstractContextManager[None]:
        """Bound nothing: `commit` does not wait."""
        return nullcontext()

    def _mark(self) -> None:
        while self._uncommitted and self._uncommitted[0].sequence <= self._durable:
            self._source.mark_finished(self._uncommitted.popleft().batch)


def skip_flush() -> None:
    """Do nothing: for handlers whose work is durable as soon as Kafka has it."""


@dataclass
class GatheringSink:
    """A sink that buffers the results of a batch in memory until one transaction sends them.

    `make_fallback` returns the record to send, to the same partition, instead of an event that Kafka refuses.
    """

    make_fallback: Callable[[OutgoingRecord, Event], OutgoingRecord | None] = lambda _record, _event: None
    buffer: list[OutgoingRecord] = field(default_factory=list)

    def send(self, topic: str, key: str, event: Event, partition: int | None = None) -> None:
        """Buffer an event, together with its fallback."""
        self.buffer.append(_with_fallback(record_of_event(topic, key, event, partition), event, self.make_fallback))

    def send_record(self, record: OutgoingRecord) -> None:
        """Buffer a record."""
        self.buffer.append(record)

    def flush(self) -> None:
        """Do nothing: the transaction sends the buffer."""


class TransactionalCommit:
    """Sends replies and commits the offsets of their requests in one transaction: a crash leaves both or neither.

    Replies are buffered in memory, so a transaction takes milliseconds, and none is aborted in normal operation. A
    request whose partition was revoked meanwhile is dropped together with its reply: the next owner answers it.
    """

    def __init__(self, source: EventSource, sink: GatheringSink, transactions: TransactionSink) -> None:
        self._source = source
        self._sink = sink
        self._transactions = transactions
        self._in_doubt: FinishedBatch | None = None
        """The batch whose transaction may have been committed, although the broker did not confirm it."""

    def begin(self) -> None:
        """Discard the results of an earlier attempt."""
        self._sink.buffer.clear()

    def collect(self, batch: Batch) -> FinishedBatch:
        """Return the batch with its buffered results."""
        return FinishedBatch(batch, list(self._sink.buffer))

    def persist(self, *, now: bool = False) -> bool:
        """Do nothing: Kafka stores all of the results."""
        return True

    def commit(self, finished: FinishedBatch) -> None:
        """Send the results for partitions that are still owned and commit their offsets, in one transaction."""
        owned = self._source.filter_owned(finished.batch)
        if not owned.records:
            return
        partitions = {record.place for record in owned.records}
        outgoing = [
            record
            for record in finished.outgoing
            if (partition_of(record.source_position) or None) in (None, *partitions)
        ]
        if not outgoing:
            # The local broker forgets the offsets of a transaction that holds nothing else (Tansu 0.6.0).
            self._source.mark_finished(owned)
            return self._source.commit_sync()
        offsets = self._source.offsets_to_commit(owned)
        if self._in_doubt is not finished or not self._was_committed(offsets):
            self._in_doubt = None
            self._send(finished, outgoing, offsets)
        self._source.mark_finished(owned)
        self._source.mark_committed(offsets)

    def commit_async(self) -> None:
        """Commit the offsets of requests without replies whose earlier commit failed."""
        self._source.commit_async()

    def commit_sync(self) -> None:
        """Commit the offsets of requests without replies, and wait for the broker."""
        self._source.commit_sync()

    def deadline(self, seconds: float) -> AbstractContextManager[None]:
        """Bound the transactions inside the block: one that is not over by then is left to the next owner.

        The next owner of its requests reads the offsets of the group after the broker has ended that transaction.
        """
        return self._transactions.deadline(seconds)

    def _send(
        self,
        finished: FinishedBatch,
        outgoing: Sequence[OutgoingRecord],
        offsets: Mapping[Partition, OffsetAndMetadata],
    ) -> None:
        try:
            self._transactions.commit(outgoing, offsets, self._source.group_metadata)
        except OutcomeUnknown as error:
            self._in_doubt = finished
            raise Unavailable(f"it is not known yet whether a transaction was committed: {error}") from None

    def _was_committed(self, offsets: Mapping[Partition, OffsetAndMetadata]) -> bool:
        """End the transaction in doubt, and say whether the group has just these offsets. Raises Unavailable."""
        self._transactions.resolve_outcome()
        return self._source.are_committed(offsets)


def commit_or_log(commit: Callable[[], None]) -> None:
    """Call `commit`; if it fails for now, only log that: this worker or the next owner does the work again."""
    try:
        commit()
    except (Unavailable, PartitionsRevoked) as error:
        structlog.get_logger().warning("commit failed, the work will be repeated", reason=str(error))


def _with_fallback(
    record: OutgoingRecord, event: Event, make_fallback: Callable[[OutgoingRecord, Event], OutgoingRecord | None]
) -> OutgoingRecord:
    fallback: Mapping[str, object] = {"fallback": make_fallback(record, event)}
    return OutgoingRecord(**{**vars(record), **fallback})
