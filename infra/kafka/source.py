"""Event source: a consumer group member that polls all the time, and buffers, pauses and commits per partition."""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from infra.config.kafka import KafkaSettings
from infra.kafka.assignments import Assignments, Batch, BufferLimits, DueTime
from infra.kafka.config import log
from infra.kafka.errors import ErrorClass, PartitionsRevoked, classify, translate_errors
from infra.kafka.membership import Callbacks, Membership
from infra.kafka.names import OffsetAndMetadata, client_partition, plain_partition, plain_topic
from infra.kafka.problems import Problems
from infra.kafka.record import Partition, Record, record_of
from infra.retry import HoldTimer
from schemas.failures import Unavailable

MAX_PREFETCH_RECORDS = 64
"""Most records to fetch from the client in one call while a batch is processed."""
RESUME_SECONDS = 0.5
"""Seconds between attempts to read the last owners' notes while they cannot be read."""


BeforeRevoke = Callable[[Sequence[Partition]], None]


def no_revoke_callback(_partitions: Sequence[Partition]) -> None:
    """Revoke callback that does nothing, for owners that have no records in progress."""


def due_immediately(_record: Record) -> float:
    """Due time of records that need not wait: 0, which is in the past."""
    return 0.0


class EventSource:
    """A consumer group member; one thread owns it, and must call poll_batch or prefetch continually.

    It joins the group at the first of these calls, so a worker holds no partitions while it loads its model.
    `due` returns when a record may be taken, in seconds since 1970; later records of its partition wait too.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        group: str,
        topics: Sequence[str],
        due: DueTime = due_immediately,
        room: BufferLimits | None = None,
    ) -> None:
        self._due = due
        self._kafka = kafka
        self._limits = room or BufferLimits()
        self._assignments = Assignments()
        self._next_resume_at = 0.0
        self.problems = Problems()
        """Errors that the client has reported, with their remedies, until they are resolved."""
        self.assigned = False  # True also if the group has assigned no partitions
        self._keeps_lost_partitions = False
        self.hold: HoldTimer | None = None
        """The wait for the last owners' notes while they cannot be read; new partitions supply no records then."""
        self._before_revoke: BeforeRevoke = no_revoke_callback
        changes: Callbacks = {"on_assign": self._on_assign, "on_revoke": self._on_revoke, "on_lost": self._on_lost}
        events: Callbacks = {"on_commit": self._on_commit, "error_cb": self.problems.record_error}
        self._member = Membership(kafka, group, topics, changes, events)

    def call_before_revoke(self, call: BeforeRevoke) -> None:
        """Set a callback that runs before partitions are revoked: the last chance to mark finished records."""
        self._before_revoke = call

    def ignore_due_times(self) -> None:
        """From now on ignore due times."""
        self._due = due_immediately

    def poll_batch(self, limit: int, seconds: float, idle_seconds: float = 0.2) -> Batch:
        """Up to `limit` due records: waits up to `idle_seconds` for the first, then up to `seconds` for more.

        The records are taken after the last poll, so all belong to the current assignment.
        """
        if not self.peek(limit):
            self._receive(1, idle_seconds)
        if 0 < (ready := len(self.peek(limit))) < limit:
            self._receive(limit - ready, seconds)
        self._resume()
        return self._assignments.take(limit, self._due)

    def prefetch(self) -> None:
        """Buffer records that have arrived, without waiting, up to the buffer limits."""
        self._receive(min(MAX_PREFETCH_RECORDS, self._assignments.free_records(self._limits)), 0)

    def peek(self, limit: int) -> list[Record]:
        """The records that `poll_batch` would return now, without taking them."""
        return self._assignments.upcoming(limit, self._due)

    @property
    def buffered_count(self) -> int:
        """Number of records that were received and not taken yet."""
        return self._assignments.waiting

    def lag(self) -> Counter[str]:
        """Consumer lag per topic: records not taken yet, up to each partition's end as of its last fetch."""
        lag = Counter({topic: 0 for topic, _ in self._assignments})
        with translate_errors("positions are not known"):
            for each in self._member.consumer.position(
                [client_partition(self._kafka, partition) for partition in self._assignments]
            ):
                partition = plain_partition(self._kafka, each)
                lag[partition[0]] += len(self._assignments[partition].buffer)
                if each.offset >= 0:  # negative: no record of this partition was received yet
                    _, end = self._member.consumer.get_watermark_offsets(each, cached=True)
                    lag[partition[0]] += max(0, end - each.offset)
        return lag

    def is_caught_up(self) -> bool:
        """Whether all partitions were read to their ends as of their last fetch."""
        starts = {partition: self._assignments[partition].start for partition in self._assignments}
        return all(self._assignments[partition].resumed for partition in starts) and self._member.is_at_end(starts)

    def filter_owned(self, batch: Batch) -> Batch:
        """The records of a batch whose partitions are still assigned to this member. Thread-safe."""
        return self._assignments.owned(batch)

    def offsets_to_commit(self, batch: Batch) -> dict[Partition, OffsetAndMetadata]:
        """The offsets to commit once this batch, which must be owned entirely, is finished."""
        return self._assignments.progress(batch)

    def mark_finished(self, batch: Batch) -> None:
        """Mark records as finished; those of partitions that were revoked meanwhile are skipped."""
        self._assignments.finish(batch)

    def mark_committed(self, offsets: Mapping[Partition, OffsetAndMetadata]) -> None:
        """Record the offsets that a transaction has committed."""
        self._assignments.mark_committed(offsets)

    def commit_async(self) -> None:
        """Commit the marked records asynchronously; further calls repeat this until the broker confirms it."""
        if offsets := self._assignments.uncommitted():
            self._member.commit(offsets, asynchronous=True)

    def commit_sync(self) -> None:
        """Commit the marked records synchronously. Raises Unavailable, PartitionsRevoked, Fenced or KafkaFault."""
        if offsets := self._assignments.uncommitted():
            self._member.commit(offsets, asynchronous=False)
            self._assignments.mark_committed(offsets)

    def are_committed(self, offsets: Mapping[Partition, OffsetAndMetadata]) -> bool:
        """Whether the group's committed offsets equal these. Raises Unavailable, PartitionsRevoked."""
        return self._member.committed(offsets) == dict(offsets)

    def group_metadata(self) -> object:
        """Group metadata for a transaction that commits this member's offsets; read it right before the commit."""
        return self._member.group_metadata()

    def close(self) -> None:
        """Leave the group."""
        self._member.leave(lambda: self.assigned, lambda: bool(list(self._assignments)))

    def _receive(self, limit: int, seconds: float) -> None:
        if self._keeps_lost_partitions:
            self._keeps_lost_partitions = self.assigned = False
            self._member.restart()
        self._update_pauses()
        for message in self._member.receive(limit, seconds):
            self._buffer_message(message)

    def _buffer_message(self, message: Message) -> None:
        if (error := message.error()) is not None:
            if error.code() != KafkaError._PARTITION_EOF:
                self._handle_error(error, message.topic())
            return
        record = record_of(message, self._kafka.prefix)
        if record is not None and record.place in self._assignments:
            self.problems.clear(record.topic)
            self._assignments[record.place].receive(record)

    def _handle_error(self, error: KafkaError, topic: str | None) -> None:
        """Store an error of this member; rejoin the group if it is fatal."""
        self.problems.record_error(error, None if topic is None else plain_topic(self._kafka, topic))
        if error.fatal() or error.code() == KafkaError._FATAL:
            self._assignments.drop(self._assignments)
            self.assigned = False
            self._member.rejoin(error)

    def _update_pauses(self) -> None:
        """Pause and resume individual partitions; a paused consumer is still polled."""
        self._set_paused(self._assignments.to_pause(self._limits, self._due), paused=True)
        self._set_paused(self._assignments.to_resume(self._limits, self._due), paused=False)

    def _set_paused(self, partitions: Sequence[Partition], *, paused: bool) -> None:
        if partitions:
            self._member.pause(partitions, paused=paused)
            for partition in partitions:
                self._assignments[partition].mark_paused(paused=paused)

    def _resume(self) -> None:
        """Read the notes in the last owners' commits; until then a partition supplies no records."""
        new = [partition for partition in self._assignments if not self._assignments[partition].resumed]
        if not new:
            self.hold = None
        if not new or time.monotonic() < self._next_resume_at:
            return
        self._next_resume_at = time.monotonic() + RESUME_SECONDS
        try:
            committed = self._member.committed(new)
        except (Unavailable, PartitionsRevoked) as error:
            log.warning("%s", error)
            self.hold = HoldTimer.continue_or_start(self.hold, error)
            return
        self._next_resume_at, self.hold = 0.0, None
        for partition, (offset, note) in committed.items():
            self._assignments[partition].resume(note, offset)

    def _on_assign(self, _consumer: Consumer, client_partitions: list[TopicPartition]) -> None:
        self.assigned = True
        self.problems.clear(None)
        partitions = [plain_partition(self._kafka, each) for each in client_partitions]
        for topic, _ in partitions:
            self.problems.clear(topic)
        if self._member.is_renewed and list(self._assignments):
            log.warning("rejoining the group: the client has kept partitions of a member that was removed")
            self._assignments.drop(self._assignments)
            self._keeps_lost_partitions = True  # a client cannot be closed in its own callback
            return
        self._member.confirm()
        self._assignments.add(partitions)

    def _on_revoke(self, _consumer: Consumer, client_partitions: list[TopicPartition]) -> None:
        if self._member.is_renewed:
            return self._on_lost(_consumer, client_partitions)
        partitions = [plain_partition(self._kafka, each) for each in client_partitions]
        self._before_revoke(partitions)
        try:
            self.commit_sync()
        except (Unavailable, PartitionsRevoked) as error:
            log.warning("offsets of revoked partitions were not committed: %s", error)
        self._assignments.drop(partitions)

    def _on_lost(self, _consumer: Consumer, client_partitions: list[TopicPartition]) -> None:
        self._assignments.drop(plain_partition(self._kafka, each) for each in client_partitions)

    def _on_commit(self, error: KafkaError | None, client_partitions: list[TopicPartition]) -> None:
        for each in client_partitions:
            partition = plain_partition(self._kafka, each)
            if (problem := error or each.error) is not None:
                if classify(problem) is ErrorClass.FATAL:
                    self.problems.record_error(problem, partition[0])
            else:
                self._assignments.mark_committed({partition: (each.offset, each.metadata or "")})
