"""Where events come from: a member of a consumer group."""

import time
from collections.abc import Sequence

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from infra.kafka.client import Record, client_config, log, record_of
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


class EventSource:
    """A member of a consumer group; one thread owns it."""

    def __init__(self, kafka: Kafka, group: str, topics: Sequence[str]) -> None:
        heartbeat = max(100, kafka.session_timeout_ms // 12)
        config = client_config(kafka) | {
            "group.id": group,
            "session.timeout.ms": kafka.session_timeout_ms,
            "heartbeat.interval.ms": heartbeat,
            "fetch.wait.max.ms": kafka.fetch_wait_ms,
            "partition.assignment.strategy": kafka.assignment,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "isolation.level": "read_committed",
            "queued.max.messages.kbytes": 16_384,
            "topic.metadata.refresh.interval.ms": 10_000,
        }
        if kafka.static_member:
            config["group.instance.id"] = kafka.static_member
        self._consumer = Consumer(config, logger=log)
        self._consumer.subscribe(list(topics), on_assign=self._on_assign, on_revoke=self._on_revoke)
        self._incremental = "cooperative" in kafka.assignment
        self._held = False
        self._stash: list[Record] = []
        self.assigned = False
        """Whether the group has given this member its partitions (perhaps none of them)."""

    def take(self, limit: int, seconds: float, idle_seconds: float = 0.2) -> list[Record]:
        """Up to `limit` records: waits `idle_seconds` for the first, then `seconds` for more."""
        records, self._stash = self._stash[:limit], self._stash[limit:]
        if not records:
            first = record_of(self._consumer.poll(idle_seconds))
            if first is None:
                return []
            records.append(first)
        if len(records) < limit:
            more = self._consumer.consume(limit - len(records), timeout=seconds)
            records.extend(record for record in map(record_of, more) if record is not None)
        return records

    def hold(self, seconds: float) -> None:
        """Take nothing for `seconds`, but stay in the group: paused partitions are still polled."""
        self._held = True
        self._consumer.pause(self._consumer.assignment())
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            record = record_of(self._consumer.poll(min(left, 0.1)))
            if record is not None:
                self._stash.append(record)
        self._held = False
        self._consumer.resume(self._consumer.assignment())

    def commit(self, records: Sequence[Record]) -> None:
        """Everything up to these records is done; raises Unavailable when the broker is away."""
        ends: dict[tuple[str, int], int] = {}
        for record in records:
            place = (record.topic, record.partition)
            ends[place] = max(ends.get(place, 0), record.offset + 1)
        offsets = [TopicPartition(topic, partition, end) for (topic, partition), end in ends.items()]
        try:
            self._consumer.commit(offsets=offsets, asynchronous=False)
        except KafkaException as error:
            if error.args[0].code() not in MOVED_ON:
                raise Unavailable(f"offsets were not committed: {error.args[0].str()}") from None

    def close(self) -> None:
        """Leave the group."""
        self._consumer.close()

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self.assigned = True
        if self._held:
            # Without a call here the library would assign them itself, and not paused.
            assign = consumer.incremental_assign if self._incremental else consumer.assign
            assign(partitions)
            consumer.pause(partitions)

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        gone = {(p.topic, p.partition) for p in partitions}
        self._stash = [r for r in self._stash if (r.topic, r.partition) not in gone]
