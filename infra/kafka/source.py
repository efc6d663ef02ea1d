"""Where events come from: a member of a consumer group that never stops polling."""

import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain, islice, takewhile

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from infra.kafka.client import Fenced, Place, Record, log, member_config, record_of
from infra.settings import Kafka
from schemas.failures import Unavailable

MOVED_ON = (
    KafkaError.ILLEGAL_GENERATION,
    KafkaError.UNKNOWN_MEMBER_ID,
    KafkaError.REBALANCE_IN_PROGRESS,
    KafkaError.FENCED_INSTANCE_ID,
    KafkaError._NO_OFFSET,
    KafkaError._ASSIGNMENT_LOST,
)
"""A commit that fails so is no loss: the partition's next owner takes the records again."""
AHEAD = 64
"""Records to ask the client for at a time while a batch is being worked on."""
JOIN_SECONDS = 5.0
"""A member that leaves waits so long at most for the end of its joining."""
FENCED = "another worker has taken this one's place in its group: give each a static member of its own"


def at_once(_record: Record) -> float:
    """The due time of records that need not wait: the beginning of time."""
    return 0.0


@dataclass(frozen=True)
class Room:
    """How much may be taken ahead of the work, in records and bytes; partitions are paused beyond it."""

    records: int = 512
    size: int = 64 << 20
    resume_share: float = 0.4
    """Partitions are resumed once this share of the room is taken or less."""


class EventSource:
    """A member of a consumer group; one thread owns it, and calls take or look_ahead all the time.

    `due` says when a record may be taken, in seconds since 1970; records behind it in its partition wait too.
    """

    def __init__(
        self,
        kafka: Kafka,
        group: str,
        topics: Sequence[str],
        due: Callable[[Record], float] = at_once,
        room: Room | None = None,
    ) -> None:
        self.due = due
        self._room = room or Room()
        self._incremental = "cooperative" in kafka.assignment
        self._waiting: dict[Place, deque[Record]] = {}
        self._size = 0
        self._paused = False
        self._ends: dict[Place, int] = {}
        self._lost: dict[Place, int] = {}
        self.turn = 0
        """Counts the changes of assignment; `mark` wants the one at which its records were taken."""
        self.assigned = False
        """Whether the group has given this member its partitions (perhaps none of them)."""
        self.before_revoke: Callable[[], None] = lambda: None
        """Called before partitions go to another member: the last chance to mark what was done."""
        self._consumer = Consumer(member_config(kafka, group) | {"on_commit": self._on_commit}, logger=log)
        self._consumer.subscribe(
            list(topics), on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
        )

    def take(self, limit: int, seconds: float, idle_seconds: float = 0.2) -> list[Record]:
        """Up to `limit` records that are due: waits `idle_seconds` for the first, then `seconds` for more."""
        records = self._ready(limit)
        if not records:
            self._receive(1, idle_seconds)
            records = self._ready(limit)
        if records and len(records) < limit:
            self._receive(limit - len(records), seconds)
            records += self._ready(limit - len(records))
        return records

    def look_ahead(self) -> None:
        """Take what has arrived, without waiting, as far as there is room."""
        self._receive(AHEAD, 0)

    def upcoming(self, limit: int) -> list[Record]:
        """What `take` would give now, without taking it."""
        now = time.time()
        due = (takewhile(lambda record: self.due(record) <= now, line) for line in self._waiting.values())
        return list(islice(chain.from_iterable(due), limit))

    @property
    def waiting(self) -> int:
        """How many records were received and not taken yet."""
        return sum(map(len, self._waiting.values()))

    def lag(self) -> Counter[str]:
        """How many records of each topic were not taken yet, by where its partitions ended at their last fetch."""
        places = self._consumer.position(self._consumer.assignment())
        lag = Counter({place.topic: 0 for place in places})
        for place in places:
            lag[place.topic] += len(self._waiting.get((place.topic, place.partition), ()))
            if place.offset >= 0:  # else nothing was received of it so far
                _, end = self._consumer.get_watermark_offsets(place, cached=True)
                lag[place.topic] += max(0, end - place.offset)
        return lag

    def mark(self, records: Sequence[Record], turn: int) -> None:
        """These records, taken at `turn`, are done; those of partitions that went since are another's to mark."""
        for place, end in ends_of(records).items():
            if self._lost.get(place, -1) < turn:
                self._ends[place] = max(end, self._ends.get(place, 0))

    def commit_soon(self) -> None:
        """Ask the broker to keep what was marked; asked again by the next call until it has said yes."""
        if self._ends:
            self._consumer.commit(offsets=_offsets(self._ends), asynchronous=True)

    def commit_now(self) -> None:
        """Have the broker keep what was marked; raises Unavailable when it is away."""
        if not self._ends:
            return
        try:
            self._consumer.commit(offsets=_offsets(self._ends), asynchronous=False)
        except KafkaException as error:
            self._judge(error.args[0])
        self._ends.clear()

    def group_metadata(self) -> object:
        """What a transaction says of this member when it commits offsets for it."""
        return self._consumer.consumer_group_metadata()

    def owned_since(self, records: Sequence[Record], turn: int) -> bool:
        """Whether all partitions of these records, taken at `turn`, are still this member's."""
        return all(self._lost.get(place, -1) < turn for place in ends_of(records))

    def close(self) -> None:
        """Leave the group, when it has let this member in.

        For one that leaves while it joins the local broker waits for ever, and lets nobody else in (Tansu 0.6.0).
        """
        until = time.monotonic() + JOIN_SECONDS
        while not self.assigned and time.monotonic() < until:
            self._consumer.poll(0.05)
        self._consumer.close()

    def _ready(self, limit: int) -> list[Record]:
        """The records that are due, in the order of their partitions; at most `limit`."""
        now, found = time.time(), list[Record]()
        for place in list(self._waiting):
            line = self._waiting.pop(place)  # put back at the end, so that no partition starves the others
            while line and len(found) < limit and self.due(line[0]) <= now:
                found.append(line.popleft())
            if line:
                self._waiting[place] = line
        self._size -= sum(map(_size, found))
        return found

    def _receive(self, limit: int, seconds: float) -> None:
        self._make_room()
        if limit == 1:  # poll wakes up at once, consume(1) does too but costs more
            message = self._consumer.poll(seconds)
            messages = [] if message is None else [message]
        else:
            messages = self._consumer.consume(limit, timeout=seconds)
        for message in messages:
            if (error := message.error()) is not None and error.fatal():
                raise Fenced(f"{FENCED} ({error.str()})")
            if (record := record_of(message)) is not None:
                self._waiting.setdefault((record.topic, record.partition), deque()).append(record)
                self._size += _size(record)

    def _make_room(self) -> None:
        """Pause when too much waits, resume when little does: a paused consumer is still polled."""
        share = max(self.waiting / self._room.records, self._size / self._room.size)
        if share >= 1 and not self._paused:
            self._paused = True
            self._consumer.pause(self._consumer.assignment())
        elif share <= self._room.resume_share and self._paused:
            self._paused = False
            self._consumer.resume(self._consumer.assignment())

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self.assigned = True
        if self._paused:
            # Without a call here the library would assign them itself, and not paused.
            assign = consumer.incremental_assign if self._incremental else consumer.assign
            assign(partitions)
            consumer.pause(partitions)

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self.before_revoke()
        try:
            self.commit_now()
        except Unavailable as away:
            log.warning("offsets of partitions that went were not committed: %s", away)
        self._on_lost(consumer, partitions)

    def _on_lost(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self.turn += 1
        for place in ((p.topic, p.partition) for p in partitions):
            self._lost[place] = self.turn - 1
            self._ends.pop(place, None)
            self._size -= sum(map(_size, self._waiting.pop(place, ())))

    def _on_commit(self, error: KafkaError | None, partitions: list[TopicPartition]) -> None:
        for p in partitions:
            if error is None and p.error is None and self._ends.get((p.topic, p.partition), -1) <= p.offset:
                self._ends.pop((p.topic, p.partition), None)

    def _judge(self, error: KafkaError) -> None:
        if error.code() not in MOVED_ON:
            raise Unavailable(f"offsets were not committed: {error.str()}") from None


def ends_of(records: Sequence[Record]) -> dict[Place, int]:
    """For each partition the offset after its last record, which is what is committed."""
    ends: dict[Place, int] = {}
    for record in records:
        place = (record.topic, record.partition)
        ends[place] = max(ends.get(place, 0), record.offset + 1)
    return ends


def _offsets(ends: dict[Place, int]) -> list[TopicPartition]:
    return [TopicPartition(topic, partition, end) for (topic, partition), end in ends.items()]


def _size(record: Record) -> int:
    return len(record.value or b"")
