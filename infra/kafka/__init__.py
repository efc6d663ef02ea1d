"""Kafka: where events come from, where they go, and the topics; the only home of confluent_kafka."""

from infra.kafka.broker_check import check_broker
from infra.kafka.client import Fenced, Place, Record
from infra.kafka.places import Places
from infra.kafka.readers import ReplyReader, TopicReader, read_to_end, topic_ends
from infra.kafka.sink import SOON, EventSink
from infra.kafka.source import EventSource, Room, at_once, ends_of
from infra.kafka.topics import create_topics
from infra.kafka.transactions import TransactionSink

__all__ = [
    "SOON",
    "EventSink",
    "EventSource",
    "Fenced",
    "Place",
    "Places",
    "Record",
    "ReplyReader",
    "Room",
    "TopicReader",
    "TransactionSink",
    "at_once",
    "check_broker",
    "create_topics",
    "ends_of",
    "read_to_end",
    "topic_ends",
]
