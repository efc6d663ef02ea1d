"""Kafka: consumers, producers, transactions and topics; only this package imports confluent_kafka."""

from infra.kafka.assignments import Batch, BufferLimits
from infra.kafka.broker_check import check_broker
from infra.kafka.client_settings import name_client
from infra.kafka.errors import ERROR_CLASSES, ErrorClass, Fenced, KafkaFault, PartitionsRevoked, RecordRefused
from infra.kafka.names import OffsetAndMetadata
from infra.kafka.partition_cache import PartitionCache
from infra.kafka.problems import Problems
from infra.kafka.readers import ReplyReader, TopicReader, read_to_end, topic_ends
from infra.kafka.record import OutgoingRecord, Partition, Record, next_offsets, partition_of
from infra.kafka.sink import LOW_LATENCY_DELIVERY, EventSink, record_of_event
from infra.kafka.source import EventSource, due_immediately, no_revoke_callback
from infra.kafka.topics import create_topics
from infra.kafka.transactions import OutcomeUnknown, TransactionSink

__all__ = [
    "ERROR_CLASSES",
    "LOW_LATENCY_DELIVERY",
    "Batch",
    "BufferLimits",
    "ErrorClass",
    "EventSink",
    "EventSource",
    "Fenced",
    "KafkaFault",
    "OffsetAndMetadata",
    "OutcomeUnknown",
    "OutgoingRecord",
    "Partition",
    "PartitionCache",
    "PartitionsRevoked",
    "Problems",
    "Record",
    "RecordRefused",
    "ReplyReader",
    "TopicReader",
    "TransactionSink",
    "check_broker",
    "create_topics",
    "due_immediately",
    "name_client",
    "next_offsets",
    "no_revoke_callback",
    "partition_of",
    "read_to_end",
    "record_of_event",
    "topic_ends",
]
