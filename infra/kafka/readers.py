"""Reading topics outside of any consumer group: results, outcomes, dead letters."""

import random
import time
from collections.abc import Iterator, Sequence

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from infra.kafka.client import ANSWER_SECONDS, Config, Place, Record, client_config, log, no_broker, record_of
from infra.settings import Kafka
from schemas.failures import Unavailable

SILENT_SECONDS = 15.0
"""A broker that says nothing for so long in the middle of a topic is away."""
WHOLE_FETCH_WAIT_MS = 250
"""Whole topics are much at a time, and the local broker stops looking when the wait is over (DECISIONS.md)."""


class TopicReader:
    """Reads partitions of a topic outside of any group, from their present end or their beginning."""

    def __init__(self, kafka: Kafka, topic: str, partitions: Sequence[int] | None = None) -> None:
        self._consumer = _reader(kafka)
        chosen = _partitions(self._consumer, kafka, topic) if partitions is None else partitions
        self._places = [TopicPartition(topic, partition) for partition in chosen]
        for place in self._places:
            # The end is asked for now, not at the first fetch: what comes after this line is read.
            place.offset = self._consumer.get_watermark_offsets(place, timeout=ANSWER_SECONDS)[1]
        self._consumer.assign(self._places)

    def rewind(self) -> None:
        """Read from the beginning instead."""
        for place in self._places:
            place.offset = OFFSET_BEGINNING
        self._consumer.assign(self._places)

    def poll(self, seconds: float) -> Record | None:
        """The next record, or None when none came in time."""
        return record_of(self._consumer.poll(seconds))

    def close(self) -> None:
        """Let go of the broker."""
        self._consumer.close()


class ReplyReader:
    """The partition of a results topic on which one client waits for its answers."""

    def __init__(self, kafka: Kafka, topic: str) -> None:
        consumer = _reader(kafka)
        self.partition = random.choice(_partitions(consumer, kafka, topic))
        consumer.close()
        self._reader = TopicReader(kafka, topic, [self.partition])

    def poll(self, seconds: float) -> Record | None:
        """The next record of the partition, or None when none came in time."""
        return self._reader.poll(seconds)

    def close(self) -> None:
        """Let go of the broker."""
        self._reader.close()


def topic_ends(kafka: Kafka, topics: Sequence[str]) -> dict[Place, int]:
    """The offset behind the last record of each partition, as the broker says it. Raises Unavailable."""
    consumer = _reader(kafka)
    try:
        places = [TopicPartition(topic, part) for topic in topics for part in _partitions(consumer, kafka, topic)]
        ends = [consumer.get_watermark_offsets(place, timeout=ANSWER_SECONDS)[1] for place in places]
    except KafkaException:
        raise Unavailable(no_broker(kafka)) from None
    finally:
        consumer.close()
    return {(place.topic, place.partition): end for place, end in zip(places, ends, strict=True)}


def read_to_end(kafka: Kafka, topics: Sequence[str], since_ms: int | None = None) -> Iterator[Record]:
    """Every record that these topics hold now, each partition in its order; the group offsets stay as they are.

    With `since_ms` those alone that are as young as that, in milliseconds since 1970.

    The end is where the broker says so in its answer to a fetch (its answer about offsets is a little off on the
    local broker). Raises Unavailable when a topic is missing, or the broker goes away in the middle.
    """
    patient = max(kafka.fetch_wait_ms, WHOLE_FETCH_WAIT_MS)
    consumer = _reader(kafka, {"enable.partition.eof": True, "fetch.wait.max.ms": patient})
    try:
        left = {(topic, partition) for topic in topics for partition in _partitions(consumer, kafka, topic)}
        places = [TopicPartition(*place, OFFSET_BEGINNING if since_ms is None else since_ms) for place in left]
        if since_ms is not None:
            places = consumer.offsets_for_times(places, timeout=ANSWER_SECONDS)
        consumer.assign(places)
        heard = time.monotonic()
        while left:
            message = consumer.poll(0.2)
            if (record := record_of(message)) is not None:
                yield record
                heard = time.monotonic()
            elif message is not None and _is_end(message.error()):
                left.discard((message.topic(), message.partition()))
                heard = time.monotonic()
            elif time.monotonic() - heard > SILENT_SECONDS:
                raise Unavailable(f"{kafka.bootstrap} went away while {', '.join(topics)} were being read")
    finally:
        consumer.close()


def _is_end(error: KafkaError | None) -> bool:
    return error is not None and bool(error.code() == KafkaError._PARTITION_EOF)


def _reader(kafka: Kafka, more: Config | None = None) -> Consumer:
    config = client_config(kafka) | {
        "group.id": "lookstream-readers",  # never joined: librdkafka wants a name
        "enable.auto.commit": False,
        "fetch.wait.max.ms": kafka.fetch_wait_ms,
        "isolation.level": "read_committed",
    }
    return Consumer(config | (more or {}), logger=log)


def _partitions(consumer: Consumer, kafka: Kafka, topic: str) -> list[int]:
    try:
        found = consumer.list_topics(topic, timeout=ANSWER_SECONDS).topics[topic]
    except KafkaException:
        raise Unavailable(no_broker(kafka)) from None
    if found.error is not None or not found.partitions:
        raise Unavailable(f"there is no topic {topic} at {kafka.bootstrap}: run `lookstream topics create`")
    return sorted(found.partitions)
