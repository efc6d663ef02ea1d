"""Commit strategies: when the offsets of a finished batch are committed: at least once, or in one transaction."""

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from consumers.runtime.ports import RecordSink
from infra.kafka import (
    Batch,
    EventSource,
    OffsetAndNote,
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


@dataclass(frozen=True)
class FinishedBatch:
    """Records that are done, and what is to be sent with their offsets."""

    batch: Batch
    answers: Sequence[OutgoingRecord] = ()
    number: int = 0
    """Counts what was finished before it, and it."""


class CommitStrategy(Protocol):
    """`begin`, `collect` and `secure` are called by the thread that processes, the rest by that which polls."""

    def begin(self) -> None:
        """Before a batch is handled, also when it is handled again: nothing was sent so far."""

    def collect(self, batch: Batch) -> FinishedBatch:
        """A batch was handled. Raises Unavailable when what it sent did not arrive."""

    def secure(self, *, now: bool = False) -> bool:
        """Make what is finished survive a power loss, when it is time or at once; whether all of it does now.

        Raises Unavailable.
        """

    def commit(self, finished: FinishedBatch) -> None:
        """Commit a batch, or note it for the next commit. Raises Unavailable, PartitionsRevoked: call it later."""

    def commit_soon(self) -> None:
        """Commit what was noted, when it is time, without waiting for the broker."""

    def commit_now(self) -> None:
        """Commit what was noted, before partitions go or the worker ends. Raises Unavailable, PartitionsRevoked."""

    def deadline(self, seconds: float) -> AbstractContextManager[None]:
        """Commits inside wait no longer for the broker, all taken together."""


class AtLeastOnceCommit:
    """Offsets follow what they stand for: the sink has it, and `make_durable` has made it survive a power loss.

    After a crash the records since the last commit are handled again. `make_durable` of the embedded index takes
    0.2 s (DECISIONS.md), so it is called every `seconds` at the most.
    """

    def __init__(
        self, source: EventSource, sink: RecordSink, make_durable: Callable[[], None], seconds: float
    ) -> None:
        self._source = source
        self._sink = sink
        self._make_durable = make_durable
        self._seconds = seconds
        self._finished = self._durable = 0
        self._secured_at = self._committed_at = time.monotonic()
        self._waiting: deque[FinishedBatch] = deque()

    def begin(self) -> None:
        """Nothing to do: what is sent again has no effect."""

    def collect(self, batch: Batch) -> FinishedBatch:
        """Wait until the sink has everything."""
        self._sink.flush()
        self._finished += 1
        return FinishedBatch(batch, number=self._finished)

    def secure(self, *, now: bool = False) -> bool:
        """Make durable what is not, every `seconds`."""
        finished = self._finished
        if finished != self._durable and (now or time.monotonic() - self._secured_at >= self._seconds):
            self._secured_at = time.monotonic()
            self._make_durable()
            self._durable = finished
        return finished == self._durable

    def commit(self, finished: FinishedBatch) -> None:
        """Note it: it is committed once it is durable."""
        self._waiting.append(finished)

    def commit_soon(self) -> None:
        """Commit every `seconds`."""
        if time.monotonic() - self._committed_at >= self._seconds:
            self._committed_at = time.monotonic()
            self._mark()
            self._source.commit_soon()

    def commit_now(self) -> None:
        """Commit what is durable, and wait for the broker."""
        self._mark()
        self._source.commit_now()

    def deadline(self, seconds: float) -> AbstractContextManager[None]:
        """Nothing to bound: `commit` waits for nobody."""
        return nullcontext()

    def _mark(self) -> None:
        while self._waiting and self._waiting[0].number <= self._durable:
            self._source.mark(self._waiting.popleft().batch)


def nothing_to_make_durable() -> None:
    """For handlers whose work is safe as soon as Kafka has it."""


@dataclass
class GatheringSink:
    """A sink that keeps in memory what a batch came to, until it leaves in one transaction.

    `fallback_of` gives what to send instead of an event that Kafka refuses, to the same place.
    """

    fallback_of: Callable[[OutgoingRecord, Event], OutgoingRecord | None] = lambda _record, _event: None
    gathered: list[OutgoingRecord] = field(default_factory=list)

    def send(self, topic: str, key: str, event: Event, partition: int | None = None) -> None:
        """Keep an event."""
        self.gathered.append(_with_fallback(record_of_event(topic, key, event, partition), event, self.fallback_of))

    def send_record(self, record: OutgoingRecord) -> None:
        """Keep a record."""
        self.gathered.append(record)

    def flush(self) -> None:
        """Nothing to do: the transaction sends it."""


class TransactionalCommit:
    """Answers and the offsets of their requests in one transaction: after a crash both are there, or neither.

    Answers are gathered in memory, so that a transaction takes milliseconds and nothing is undone in normal life. A
    request whose partition has gone meanwhile is dropped with its answer: its next owner answers it.
    """

    def __init__(self, source: EventSource, gathering: GatheringSink, transactions: TransactionSink) -> None:
        self._source = source
        self._gathering = gathering
        self._transactions = transactions
        self._doubtful: FinishedBatch | None = None
        """What may have been committed, though nobody said so."""

    def begin(self) -> None:
        """Forget what an earlier attempt had come to."""
        self._gathering.gathered = []

    def collect(self, batch: Batch) -> FinishedBatch:
        """What the batch came to."""
        return FinishedBatch(batch, self._gathering.gathered)

    def secure(self, *, now: bool = False) -> bool:
        """Nothing to do: Kafka has it all."""
        return True

    def commit(self, finished: FinishedBatch) -> None:
        """Send what is still ours to send, and commit it, in one transaction."""
        owned = self._source.owned(finished.batch)
        if not owned.records:
            return
        places = {record.place for record in owned.records}
        answers = [each for each in finished.answers if (partition_of(each.cause) or None) in (None, *places)]
        if not answers:
            # The local broker forgets the offsets of a transaction that holds nothing else (Tansu 0.6.0).
            self._source.mark(owned)
            return self._source.commit_now()
        offsets = self._source.progress(owned)
        if self._doubtful is not finished or not self._was_committed(offsets):
            self._doubtful = None
            self._send(finished, answers, offsets)
        self._source.mark(owned)
        self._source.mark_committed(offsets)

    def commit_soon(self) -> None:
        """Commit what had no answer and could not be committed then."""
        self._source.commit_soon()

    def commit_now(self) -> None:
        """The same, and wait for the broker."""
        self._source.commit_now()

    def deadline(self, seconds: float) -> AbstractContextManager[None]:
        """Of transactions: one that is not over by then is left, and its requests are the next owner's.

        Whoever owns them next reads the group's offsets when the broker has ended that transaction.
        """
        return self._transactions.deadline(seconds)

    def _send(
        self, finished: FinishedBatch, answers: Sequence[OutgoingRecord], offsets: Mapping[Partition, OffsetAndNote]
    ) -> None:
        try:
            self._transactions.commit(answers, offsets, self._source.group_metadata)
        except OutcomeUnknown as unknown:
            self._doubtful = finished
            raise Unavailable(f"it is not known yet whether a transaction was committed: {unknown}") from None

    def _was_committed(self, offsets: Mapping[Partition, OffsetAndNote]) -> bool:
        """Whether the group has just these offsets, once the transaction is settled. Raises Unavailable."""
        self._transactions.settle()
        return self._source.are_committed(offsets)


def commit_or_log(commit: Callable[[], None]) -> None:
    """Commit; what does not work now is done again later, by this worker or the next owner."""
    try:
        commit()
    except (Unavailable, PartitionsRevoked) as away:
        structlog.get_logger().warning("not committed, so done again later", why=str(away))


def _with_fallback(
    record: OutgoingRecord, event: Event, fallback_of: Callable[[OutgoingRecord, Event], OutgoingRecord | None]
) -> OutgoingRecord:
    fallback: Mapping[str, object] = {"fallback": fallback_of(record, event)}
    return OutgoingRecord(**{**vars(record), **fallback})
