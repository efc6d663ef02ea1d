"""Where events come from: a member of a consumer group that never stops polling. Everything is per partition."""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from infra.config.settings import KafkaSettings
from infra.kafka.assignments import Assignments, Batch, BufferLimits, DueTime
from infra.kafka.config import log
from infra.kafka.errors import ErrorClass, PartitionsRevoked, classify, translating, translating_as_member
from infra.kafka.membership import Callbacks, Membership
from infra.kafka.names import OffsetAndNote, client_offsets, client_partition, plain_partition, plain_topic
from infra.kafka.problems import Problems
from infra.kafka.record import Partition, Record, record_of
from infra.retry import HoldTimer
from schemas.failures import Unavailable

AHEAD = 64
"""Records to ask the client for at a time while a batch is being worked on."""
RESUME_SECONDS = 0.5
"""How often the notes of last owners are asked for while they cannot be read."""


BeforeRevoke = Callable[[Sequence[Partition]], None]


def nothing_to_finish(_places: Sequence[Partition]) -> None:
    """For sources whose records nobody works on."""


def at_once(_record: Record) -> float:
    """The due time of records that need not wait: the beginning of time."""
    return 0.0


class EventSource:
    """A member of a consumer group; one thread owns it, and calls take or look_ahead all the time.

    `due` says when a record may be taken, in seconds since 1970; those behind it in its partition wait too.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        group: str,
        topics: Sequence[str],
        due: DueTime = at_once,
        room: BufferLimits | None = None,
    ) -> None:
        self._due = due
        self._kafka = kafka
        self._room = room or BufferLimits()
        self._held = Assignments()
        self._resume_at = 0.0
        self.problems = Problems()
        """What the client has reported, with the remedy, until it is over."""
        self.assigned = False  # perhaps without partitions
        self.hold: HoldTimer | None = None
        """The wait for last owners' notes, while they cannot be read and nothing is taken of new partitions."""
        self._before_revoke: BeforeRevoke = nothing_to_finish
        changes: Callbacks = {"on_assign": self._on_assign, "on_revoke": self._on_revoke, "on_lost": self._on_lost}
        reports: Callbacks = {"on_commit": self._on_commit, "error_cb": self.problems.note}
        self._member = Membership(kafka, group, topics, changes, reports)

    def call_before_revoke(self, call: BeforeRevoke) -> None:
        """Have this called before partitions go to another member: the last chance to mark what was done."""
        self._before_revoke = call

    def take_at_once(self) -> None:
        """Give out from now on what is not due yet."""
        self._due = at_once

    def take(self, limit: int, seconds: float, idle_seconds: float = 0.2) -> Batch:
        """Up to `limit` records that are due: waits `idle_seconds` for the first, then `seconds` for more.

        They are given out after the last poll: all belong to the assignment of this moment.
        """
        if not self.upcoming(limit):
            self._receive(1, idle_seconds)
        if 0 < (ready := len(self.upcoming(limit))) < limit:
            self._receive(limit - ready, seconds)
        self._resume()
        return self._held.take(limit, self._due)

    def look_ahead(self) -> None:
        """Take what has arrived, without waiting for it, as far as there is room."""
        self._receive(min(AHEAD, self._held.free(self._room)), 0)

    def upcoming(self, limit: int) -> list[Record]:
        """What `take` would give now, without taking it."""
        return self._held.upcoming(limit, self._due)

    @property
    def waiting(self) -> int:
        """How many records were received and not taken yet."""
        return self._held.waiting

    def lag(self) -> Counter[str]:
        """How many records of each topic were not taken yet, by where its partitions ended at their last fetch."""
        lag = Counter({topic: 0 for topic, _ in self._held})
        with translating("positions are not known"):
            for each in self._member.consumer.position(
                [client_partition(self._kafka, place) for place in self._held]
            ):
                place = plain_partition(self._kafka, each)
                lag[place[0]] += len(self._held[place].buffer)
                if each.offset >= 0:  # else nothing was received of it so far
                    _, end = self._member.consumer.get_watermark_offsets(each, cached=True)
                    lag[place[0]] += max(0, end - each.offset)
        return lag

    def is_caught_up(self) -> bool:
        """Whether all was received that the partitions held at their last fetch, as far as that is known."""
        starts = {place: self._held[place].start for place in self._held}
        return all(self._held[place].resumed for place in starts) and self._member.is_at_end(starts)

    def owned(self, batch: Batch) -> Batch:
        """What of a batch is still this member's. For any thread."""
        return self._held.owned(batch)

    def progress(self, batch: Batch) -> dict[Partition, OffsetAndNote]:
        """What is to be committed once this batch, all of which is owned, is done."""
        return self._held.progress(batch)

    def mark(self, batch: Batch) -> None:
        """These records are done; those of partitions that went since are another member's to mark."""
        self._held.finish(batch)

    def mark_committed(self, offsets: Mapping[Partition, OffsetAndNote]) -> None:
        """A transaction has committed these."""
        self._held.mark_committed(offsets)

    def commit_soon(self) -> None:
        """Ask the broker to keep what was marked; asked again by the next call until it has said yes."""
        if offsets := self._held.uncommitted():
            with translating_as_member("offsets were not committed"):
                self._member.consumer.commit(offsets=client_offsets(self._kafka, offsets), asynchronous=True)

    def commit_now(self) -> None:
        """Have the broker keep what was marked. Raises Unavailable, PartitionsRevoked, Fenced, KafkaFault."""
        if offsets := self._held.uncommitted():
            with translating_as_member("offsets were not committed"):
                answer = self._member.consumer.commit(
                    offsets=client_offsets(self._kafka, offsets), asynchronous=False
                )
                for each in answer or []:
                    if each.error is not None:
                        raise KafkaException(each.error)
            self._held.mark_committed(offsets)

    def are_committed(self, offsets: Mapping[Partition, OffsetAndNote]) -> bool:
        """Whether the group has committed just these. Raises Unavailable, PartitionsRevoked."""
        return self._member.committed(offsets) == dict(offsets)

    def group_metadata(self) -> object:
        """What a transaction says of this member when it commits offsets for it; ask when it is about to."""
        return self._member.consumer.consumer_group_metadata()

    def close(self) -> None:
        """Leave the group."""
        self._member.leave(lambda: self.assigned, lambda: bool(list(self._held)))

    def _receive(self, limit: int, seconds: float) -> None:
        self._make_room()
        with translating("records were not received"):
            if limit == 1:  # poll wakes up at once, consume(1) does too but costs more
                message = self._member.consumer.poll(seconds)
                messages = [] if message is None else [message]
            else:
                messages = self._member.consumer.consume(limit, timeout=seconds)
        for message in messages:
            self._take_in(message)

    def _take_in(self, message: Message) -> None:
        if (error := message.error()) is not None:
            if error.code() != KafkaError._PARTITION_EOF:
                self._judge(error, message.topic())
            return
        record = record_of(message, self._kafka.prefix)
        if record is not None and record.place in self._held:
            self.problems.clear(record.topic)
            self._held[record.place].receive(record)

    def _judge(self, error: KafkaError, topic: str | None) -> None:
        """What the client says of this member: noted, or the end of it."""
        self.problems.note(error, None if topic is None else plain_topic(self._kafka, topic))
        if error.fatal() or error.code() == KafkaError._FATAL:
            self._held.drop(self._held)
            self.assigned = False
            self._member.rejoin(error)

    def _make_room(self) -> None:
        """Pause and resume each partition by itself; a paused consumer is still polled."""
        self._set_paused(self._held.to_pause(self._room, self._due), paused=True)
        self._set_paused(self._held.to_resume(self._room, self._due), paused=False)

    def _set_paused(self, places: Sequence[Partition], *, paused: bool) -> None:
        if places:
            self._member.pause(places, paused=paused)
            for place in places:
                self._held[place].paused = paused

    def _resume(self) -> None:
        """Read the notes that last owners left with their commits; until then nothing is taken of a partition."""
        new = [place for place in self._held if not self._held[place].resumed]
        if not new:
            self.hold = None
        if not new or time.monotonic() < self._resume_at:
            return
        self._resume_at = time.monotonic() + RESUME_SECONDS
        try:
            found = self._member.committed(new)
        except (Unavailable, PartitionsRevoked) as away:
            log.warning("%s", away)
            self.hold = HoldTimer.again(self.hold, away)
            return
        self._resume_at, self.hold = 0.0, None
        for place, (offset, note) in found.items():
            self._held[place].resume(note, offset)

    def _on_assign(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self.assigned = True
        self.problems.clear(None)
        places = [plain_partition(self._kafka, each) for each in partitions]
        for topic, _ in places:
            self.problems.clear(topic)
        self._held.add(places)

    def _on_revoke(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        places = [plain_partition(self._kafka, each) for each in partitions]
        self._before_revoke(places)
        try:
            self.commit_now()
        except (Unavailable, PartitionsRevoked) as away:
            log.warning("offsets of partitions that went were not committed: %s", away)
        self._held.drop(places)

    def _on_lost(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._held.drop(plain_partition(self._kafka, each) for each in partitions)

    def _on_commit(self, error: KafkaError | None, partitions: list[TopicPartition]) -> None:
        for each in partitions:
            place = plain_partition(self._kafka, each)
            if (problem := error or each.error) is not None:
                if classify(problem) is ErrorClass.FATAL:
                    self.problems.note(problem, place[0])
            else:
                self._held.mark_committed({place: (each.offset, each.metadata or "")})
