"""Reading topics outside of any consumer group: results, outcomes, dead letters.

Leaders move, and are chosen a moment after a topic is created: whoever asks for ends or partitions asks again until
a deadline. What goes wrong afterwards is told: a reader that is refused raises KafkaFault.
"""

import random
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Message, TopicPartition

from infra.config.settings import KafkaSettings
from infra.kafka.access import READERS_GROUP
from infra.kafka.config import ANSWER_SECONDS, Config, client_config, new_client, no_broker
from infra.kafka.errors import ErrorClass, classify, translated, translating
from infra.kafka.names import client_partition, group_name, plain_topic, topic_name
from infra.kafka.problems import Problems
from infra.kafka.record import Partition, Record, record_of
from infra.retry import Retry
from schemas.failures import Unavailable

T = TypeVar("T")

SILENT_SECONDS = 15.0
"""A broker that says nothing for so long in the middle of a topic is away."""
WHOLE_FETCH_WAIT_MS = 250
"""Whole topics are much at a time, and the local broker stops looking when the wait is over (DECISIONS.md)."""
LEADER_SECONDS = 15.0
"""How long to wait for the leader of a partition."""


class TopicReader:
    """Reads partitions of a topic outside of any group, from their present end or their beginning."""

    def __init__(self, kafka: KafkaSettings, topic: str, partitions: Sequence[int] | None = None) -> None:
        self._kafka = kafka
        self._problems = Problems()
        self._consumer = _reader(kafka, {}, self._problems)
        chosen = _partitions(self._consumer, kafka, topic) if partitions is None else partitions
        self._places = [TopicPartition(topic_name(kafka, topic), partition) for partition in chosen]
        for place in self._places:
            # The end is asked for now, not at the first fetch: what comes after this line is read.
            place.offset = _end_of(self._consumer, kafka, place)
        self._assign()

    def rewind(self) -> None:
        """Read from the beginning instead."""
        for place in self._places:
            place.offset = OFFSET_BEGINNING
        self._assign()

    def _assign(self) -> None:
        with translating("nothing was read"):
            self._consumer.assign(self._places)

    def poll(self, seconds: float) -> Record | None:
        """The next record, or None when none came in time. Raises KafkaFault when reading is refused."""
        with translating("nothing was read"):
            message = self._consumer.poll(seconds)
        _raise_if_refused(message, self._problems)
        return record_of(message, self._kafka.prefix)

    @property
    def problem(self) -> str | None:
        """What the client has reported, with the remedy, until it is over."""
        return self._problems.newest

    def close(self) -> None:
        """Let go of the broker."""
        self._consumer.close()


class ReplyReader:
    """The partition of a results topic on which one client waits for its answers."""

    def __init__(self, kafka: KafkaSettings, topic: str) -> None:
        consumer = _reader(kafka, {}, Problems())
        self.partition = random.choice(_partitions(consumer, kafka, topic))
        consumer.close()
        self._reader = TopicReader(kafka, topic, [self.partition])

    def poll(self, seconds: float) -> Record | None:
        """The next record of the partition, or None when none came in time."""
        return self._reader.poll(seconds)

    @property
    def problem(self) -> str | None:
        """What the client has reported, with the remedy, until it is over."""
        return self._reader.problem

    def close(self) -> None:
        """Let go of the broker."""
        self._reader.close()


def topic_ends(kafka: KafkaSettings, topics: Sequence[str]) -> dict[Partition, int]:
    """The offset behind the last record of each partition, by the broker. Raises Unavailable, KafkaFault."""
    consumer = _reader(kafka, {}, Problems())
    try:
        places = [(topic, part) for topic in topics for part in _partitions(consumer, kafka, topic)]
        return {place: _end_of(consumer, kafka, client_partition(kafka, place)) for place in places}
    finally:
        consumer.close()


def read_to_end(kafka: KafkaSettings, topics: Sequence[str], since_ms: int | None = None) -> Iterator[Record]:
    """Every record that these topics hold now, each partition in its order; the group offsets stay as they are.

    With `since_ms` those alone that are as young as that, in milliseconds since 1970.

    The end is where the broker says so in its answer to a fetch (its answer about offsets is a little off on the
    local broker). Raises Unavailable when a topic is missing, or the broker goes away in the middle.
    """
    patient = max(kafka.fetch_wait_ms, WHOLE_FETCH_WAIT_MS)
    problems = Problems()
    consumer = _reader(kafka, {"enable.partition.eof": True, "fetch.wait.max.ms": patient}, problems)
    try:
        left = {(topic, partition) for topic in topics for partition in _partitions(consumer, kafka, topic)}
        starts = _starts(consumer, kafka, sorted(left), since_ms)
        with translating("nothing was read"):
            consumer.assign(starts)
        heard = time.monotonic()
        while left:
            with translating("nothing was read"):
                message = consumer.poll(0.2)
            if (record := record_of(message, kafka.prefix)) is not None:
                yield record
                heard = time.monotonic()
            elif message is not None and _is_end(message.error()):
                left.discard((plain_topic(kafka, message.topic() or ""), message.partition() or 0))
                heard = time.monotonic()
            elif time.monotonic() - heard > SILENT_SECONDS:
                raise Unavailable(f"{kafka.bootstrap} went away while {', '.join(topics)} were being read")
            else:
                _raise_if_refused(message, problems)
    finally:
        consumer.close()


def _starts(
    consumer: Consumer, kafka: KafkaSettings, places: Sequence[Partition], since_ms: int | None
) -> list[TopicPartition]:
    at = OFFSET_BEGINNING if since_ms is None else since_ms
    starts = [TopicPartition(topic_name(kafka, topic), partition, at) for topic, partition in places]
    if since_ms is None:
        return starts
    return _ask(kafka, lambda: _without_errors(consumer.offsets_for_times(starts, timeout=ANSWER_SECONDS)))


def _without_errors(found: list[TopicPartition]) -> list[TopicPartition]:
    for each in found:
        if each.error is not None:
            raise translated(each.error, f"{each.topic} was not read")
    return found


def _is_end(error: KafkaError | None) -> bool:
    return error is not None and bool(error.code() == KafkaError._PARTITION_EOF)


def _raise_if_refused(message: Message | None, problems: Problems) -> None:
    error = None if message is None else message.error()
    if message is None or error is None or _is_end(error):
        return
    problems.note(error, message.topic())
    if error.fatal() or classify(error) is ErrorClass.FATAL:
        raise translated(error, f"{message.topic()} was not read")


def _reader(kafka: KafkaSettings, more: Config, problems: Problems) -> Consumer:
    config = client_config(kafka) | {
        "group.id": group_name(kafka, READERS_GROUP),  # never joined: librdkafka wants a name, and asks for it
        "enable.auto.commit": False,
        "fetch.wait.max.ms": kafka.fetch_wait_ms,
        "isolation.level": "read_committed",
    }
    return new_client(Consumer, config | more | {"error_cb": problems.note})


def _end_of(consumer: Consumer, kafka: KafkaSettings, place: TopicPartition) -> int:
    end: int = _ask(kafka, lambda: consumer.get_watermark_offsets(place, timeout=ANSWER_SECONDS))[1]
    return end


def _partitions(consumer: Consumer, kafka: KafkaSettings, topic: str) -> list[int]:
    name = topic_name(kafka, topic)

    def ask() -> list[int]:
        found = consumer.list_topics(name, timeout=ANSWER_SECONDS).topics[name]
        if found.error is not None and classify(found.error) is ErrorClass.FATAL:
            raise translated(found.error, f"{name} was not read")
        if found.error is not None and found.error.code() == KafkaError.LEADER_NOT_AVAILABLE:
            raise translated(found.error, f"{name} was not read")
        if found.error is not None or not found.partitions:
            raise MissingTopic(
                f"there is no topic {name} at {kafka.bootstrap}, or this user may not see it: run "
                "`lookstream topics create`, or grant what `lookstream topics acls` prints"
            )
        return sorted(found.partitions)

    return _ask(kafka, ask)


class MissingTopic(Unavailable):
    """There is no such topic."""


def _ask(kafka: KafkaSettings, question: Callable[[], T]) -> T:
    """The answer to a question about topics, asked again until a leader is there."""

    def ask() -> T:
        with translating(no_broker(kafka)):
            return question()

    return Retry(LEADER_SECONDS).run(
        ask, lambda error: isinstance(error, Unavailable) and not isinstance(error, MissingTopic)
    )
