"""Topic readers: read topics without a consumer group, as for results, outcomes and dead letters.

The leader of a partition may change, and a new topic has no leaders at first: requests for end offsets or
partitions are retried until a deadline. Later errors are raised: KafkaFault if the broker refuses a reader.
"""

import random
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Message, TopicPartition

from infra.config.kafka import KafkaSettings
from infra.kafka.config import ANSWER_SECONDS, Config, client_config, new_client, no_broker_message
from infra.kafka.errors import ErrorClass, classify, to_exception, translate_errors
from infra.kafka.names import client_partition, group_name, plain_topic, topic_name
from infra.kafka.problems import Problems
from infra.kafka.record import Partition, Record, record_of
from infra.retry import Retry
from schemas.failures import Unavailable
from schemas.topics import READERS_GROUP

T = TypeVar("T")

SILENCE_TIMEOUT_SECONDS = 15.0
"""Seconds without a message in the middle of a topic after which the broker counts as unavailable."""
WHOLE_FETCH_WAIT_MS = 250
"""Shortest fetch wait in milliseconds of a client that reads whole topics: it needs large fetches, and the local
broker returns what it has found when the wait ends (DECISIONS.md)."""
LEADER_SECONDS = 15.0
"""Seconds to wait for the leader of a partition."""


class TopicReader:
    """Reads partitions of a topic without a consumer group, from their current end or their beginning."""

    def __init__(self, kafka: KafkaSettings, topic: str, partitions: Sequence[int] | None = None) -> None:
        self._kafka = kafka
        self._problems = Problems()
        self._consumer = _reader(kafka, {}, self._problems)
        numbers = _partitions(self._consumer, kafka, topic) if partitions is None else partitions
        self._assignment = [TopicPartition(topic_name(kafka, topic), partition) for partition in numbers]
        for assigned in self._assignment:
            # Read the end now, not at the first fetch, so that records written after this line are read.
            assigned.offset = _end_of(self._consumer, kafka, assigned)
        self._assign()

    def rewind(self) -> None:
        """Read from the beginning."""
        for partition in self._assignment:
            partition.offset = OFFSET_BEGINNING
        self._assign()

    def _assign(self) -> None:
        with translate_errors("nothing was read"):
            self._consumer.assign(self._assignment)

    def poll(self, seconds: float) -> Record | None:
        """The next record, or None if none arrives in time. Raises KafkaFault if reading is refused."""
        with translate_errors("nothing was read"):
            message = self._consumer.poll(seconds)
        _raise_if_refused(message, self._problems)
        return record_of(message, self._kafka.prefix)

    @property
    def problem(self) -> str | None:
        """The client's newest unresolved problem, with its remedy."""
        return self._problems.newest

    def close(self) -> None:
        """Close the connection to the broker."""
        self._consumer.close()


class ReplyReader:
    """Reads the partition of a results topic on which one client receives its replies; picks it at random."""

    def __init__(self, kafka: KafkaSettings, topic: str) -> None:
        consumer = _reader(kafka, {}, Problems())
        self.partition = random.choice(_partitions(consumer, kafka, topic))
        consumer.close()
        self._reader = TopicReader(kafka, topic, [self.partition])

    def poll(self, seconds: float) -> Record | None:
        """The next record of the partition, or None if none arrives in time."""
        return self._reader.poll(seconds)

    @property
    def problem(self) -> str | None:
        """The client's newest unresolved problem, with its remedy."""
        return self._reader.problem

    def close(self) -> None:
        """Close the connection to the broker."""
        self._reader.close()


def topic_ends(kafka: KafkaSettings, topics: Sequence[str]) -> dict[Partition, int]:
    """The end offset of each partition, as the broker reports it. Raises Unavailable or KafkaFault."""
    consumer = _reader(kafka, {}, Problems())
    try:
        partitions = [(topic, part) for topic in topics for part in _partitions(consumer, kafka, topic)]
        return {partition: _end_of(consumer, kafka, client_partition(kafka, partition)) for partition in partitions}
    finally:
        consumer.close()


def read_to_end(kafka: KafkaSettings, topics: Sequence[str], since_ms: int | None = None) -> Iterator[Record]:
    """All records that these topics currently hold, in order within each partition; commits no offsets.

    With `since_ms` (milliseconds since 1970) only the records from that time on.

    The end of a partition is taken from the fetch response, as the end offset that the local broker reports is
    slightly wrong. Raises Unavailable if a topic is missing, or if the broker stops responding.
    """
    problems = Problems()
    consumer = _reader(kafka.with_fetch_wait(WHOLE_FETCH_WAIT_MS), {"enable.partition.eof": True}, problems)
    try:
        remaining = {(topic, partition) for topic in topics for partition in _partitions(consumer, kafka, topic)}
        starts = _starts(consumer, kafka, sorted(remaining), since_ms)
        with translate_errors("nothing was read"):
            consumer.assign(starts)
        last_message_at = time.monotonic()
        while remaining:
            with translate_errors("nothing was read"):
                message = consumer.poll(0.2)
            if (record := record_of(message, kafka.prefix)) is not None:
                yield record
                last_message_at = time.monotonic()
            elif message is not None and _is_end(message.error()):
                remaining.discard((plain_topic(kafka, message.topic() or ""), message.partition() or 0))
                last_message_at = time.monotonic()
            elif time.monotonic() - last_message_at > SILENCE_TIMEOUT_SECONDS:
                raise Unavailable(f"{kafka.bootstrap} went away while {', '.join(topics)} were being read")
            else:
                _raise_if_refused(message, problems)
    finally:
        consumer.close()


def _starts(
    consumer: Consumer, kafka: KafkaSettings, partitions: Sequence[Partition], since_ms: int | None
) -> list[TopicPartition]:
    at = OFFSET_BEGINNING if since_ms is None else since_ms
    starts = [TopicPartition(topic_name(kafka, topic), partition, at) for topic, partition in partitions]
    if since_ms is None:
        return starts
    return _retry_until_leader(
        kafka, lambda: _without_errors(consumer.offsets_for_times(starts, timeout=ANSWER_SECONDS))
    )


def _without_errors(found: list[TopicPartition]) -> list[TopicPartition]:
    for each in found:
        if each.error is not None:
            raise to_exception(each.error, f"{each.topic} was not read")
    return found


def _is_end(error: KafkaError | None) -> bool:
    return error is not None and bool(error.code() == KafkaError._PARTITION_EOF)


def _raise_if_refused(message: Message | None, problems: Problems) -> None:
    error = None if message is None else message.error()
    if message is None or error is None or _is_end(error):
        return
    problems.record_error(error, message.topic())
    if error.fatal() or classify(error) is ErrorClass.FATAL:
        raise to_exception(error, f"{message.topic()} was not read")


def _reader(kafka: KafkaSettings, overrides: Config, problems: Problems) -> Consumer:
    config = client_config(kafka) | {
        # No client joins this group, but librdkafka requires a group id, and looks up its coordinator.
        "group.id": group_name(kafka, READERS_GROUP),
        "enable.auto.commit": False,
        "fetch.wait.max.ms": kafka.fetch_wait_ms,
        "isolation.level": "read_committed",
    }
    return new_client(Consumer, config | overrides | {"error_cb": problems.record_error})


def _end_of(consumer: Consumer, kafka: KafkaSettings, partition: TopicPartition) -> int:
    end: int = _retry_until_leader(
        kafka, lambda: consumer.get_watermark_offsets(partition, timeout=ANSWER_SECONDS)
    )[1]
    return end


def _partitions(consumer: Consumer, kafka: KafkaSettings, topic: str) -> list[int]:
    name = topic_name(kafka, topic)

    def ask() -> list[int]:
        found = consumer.list_topics(name, timeout=ANSWER_SECONDS).topics[name]
        if found.error is not None and classify(found.error) is ErrorClass.FATAL:
            raise to_exception(found.error, f"{name} was not read")
        if found.error is not None and found.error.code() == KafkaError.LEADER_NOT_AVAILABLE:
            raise to_exception(found.error, f"{name} was not read")
        if found.error is not None or not found.partitions:
            raise MissingTopic(
                f"there is no topic {name} at {kafka.bootstrap}, or this user may not see it: run "
                "`lookstream topics create`, or grant what `lookstream topics acls` prints"
            )
        return sorted(found.partitions)

    return _retry_until_leader(kafka, ask)


class MissingTopic(Unavailable):
    """The topic does not exist."""


def _retry_until_leader(kafka: KafkaSettings, call: Callable[[], T]) -> T:
    """The result of a metadata request, retried until the partition has a leader."""

    def ask() -> T:
        with translate_errors(no_broker_message(kafka)):
            return call()

    return Retry(LEADER_SECONDS).run(
        ask, lambda error: isinstance(error, Unavailable) and not isinstance(error, MissingTopic)
    )
