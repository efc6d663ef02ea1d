"""Kafka: where events come from, where they go, and the topics; the only home of confluent_kafka."""

from infra.kafka.client import Record, check_broker
from infra.kafka.readers import ReplyReader, TopicReader
from infra.kafka.sink import SOON, EventSink
from infra.kafka.source import EventSource
from infra.kafka.topics import create_topics

__all__ = [
    "SOON",
    "EventSink",
    "EventSource",
    "Record",
    "ReplyReader",
    "TopicReader",
    "check_broker",
    "create_topics",
]
