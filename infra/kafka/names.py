"""Cluster names: add and remove the prefix that separates systems on one cluster; only this package sees it."""

from collections.abc import Mapping

from confluent_kafka import TopicPartition

from infra.config.kafka import KafkaSettings
from infra.kafka.record import Partition

OffsetAndMetadata = tuple[int, str]
"""Committed state of a partition: offset of the first unfinished record, and a note that lists the later ones."""


def topic_name(kafka: KafkaSettings, topic: str) -> str:
    """A topic's name on the cluster."""
    return kafka.prefix + topic


def plain_topic(kafka: KafkaSettings, name: str) -> str:
    """A topic's name in this program."""
    return name.removeprefix(kafka.prefix)


def group_name(kafka: KafkaSettings, group: str) -> str:
    """The name of a consumer group or transactional id on the cluster."""
    return kafka.prefix + group


def client_partition(kafka: KafkaSettings, partition: Partition) -> TopicPartition:
    """A partition as the client's type."""
    return TopicPartition(topic_name(kafka, partition[0]), partition[1])


def plain_partition(kafka: KafkaSettings, partition: TopicPartition) -> Partition:
    """A partition from the client's type."""
    return plain_topic(kafka, partition.topic), partition.partition


def client_offsets(kafka: KafkaSettings, offsets: Mapping[Partition, OffsetAndMetadata]) -> list[TopicPartition]:
    """Offsets as the client's type."""
    return [
        TopicPartition(topic_name(kafka, topic), partition, offset, note)
        for (topic, partition), (offset, note) in offsets.items()
    ]
