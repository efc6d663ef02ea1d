"""Reading topics outside of any consumer group: results, outcomes, dead letters."""

import random
from collections.abc import Sequence

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, TopicPartition

from infra.kafka.client import ANSWER_SECONDS, Record, client_config, log, no_broker, record_of
from infra.settings import Kafka
from schemas.failures import Unavailable


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


def _reader(kafka: Kafka) -> Consumer:
    config = client_config(kafka) | {
        "group.id": "lookstream-readers",  # never joined: librdkafka wants a name
        "enable.auto.commit": False,
        "fetch.wait.max.ms": kafka.fetch_wait_ms,
        "isolation.level": "read_committed",
    }
    return Consumer(config, logger=log)


def _partitions(consumer: Consumer, kafka: Kafka, topic: str) -> list[int]:
    try:
        found = consumer.list_topics(topic, timeout=ANSWER_SECONDS).topics[topic]
    except KafkaException:
        raise Unavailable(no_broker(kafka)) from None
    if found.error is not None or not found.partitions:
        raise Unavailable(f"there is no topic {topic} at {kafka.bootstrap}: run `lookstream topics create`")
    return sorted(found.partitions)
