"""Names on the cluster: a prefix keeps several systems on one cluster apart; above this folder nobody sees it."""

from collections.abc import Mapping

from confluent_kafka import TopicPartition

from infra.config.settings import KafkaSettings
from infra.kafka.record import Partition

OffsetAndNote = tuple[int, str]
"""What is committed of a partition: the offset of the first record that is not done, and which later ones are."""


def topic_name(kafka: KafkaSettings, topic: str) -> str:
    """What a topic is called on the cluster."""
    return kafka.prefix + topic


def plain_topic(kafka: KafkaSettings, name: str) -> str:
    """What a topic of the cluster is called in this program."""
    return name.removeprefix(kafka.prefix)


def group_name(kafka: KafkaSettings, group: str) -> str:
    """What a consumer group, or a transactional id, is called on the cluster."""
    return kafka.prefix + group


def client_partition(kafka: KafkaSettings, place: Partition) -> TopicPartition:
    """A partition as the client takes it."""
    return TopicPartition(topic_name(kafka, place[0]), place[1])


def plain_partition(kafka: KafkaSettings, place: TopicPartition) -> Partition:
    """A partition as the client gives it."""
    return plain_topic(kafka, place.topic), place.partition


def client_offsets(kafka: KafkaSettings, offsets: Mapping[Partition, OffsetAndNote]) -> list[TopicPartition]:
    """Offsets as the client takes them."""
    return [
        TopicPartition(topic_name(kafka, topic), partition, offset, note)
        for (topic, partition), (offset, note) in offsets.items()
    ]
