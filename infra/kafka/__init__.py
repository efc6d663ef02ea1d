"""Kafka: consumers, producers, transactions and topics; only this package imports confluent_kafka."""

from infra.kafka.assignments import Batch, BufferLimits
from infra.kafka.broker_check import check_broker
from infra.kafka.client_settings import name_client
from infra.kafka.errors import ERROR_CLASSES, ErrorClass, Fenced, KafkaFault, PartitionsRevoked, RecordRefused
from infra.kafka.names import OffsetAndNote
from infra.kafka.partition_cache import PartitionCache
from infra.kafka.problems import Problems
from infra.kafka.readers import ReplyReader, TopicReader, read_to_end, topic_ends
from infra.kafka.record import OutgoingRecord, Partition, Record, ends_of, partition_of
from infra.kafka.sink import SOON, EventSink, record_of_event
from infra.kafka.source import EventSource, at_once, nothing_to_finish
from infra.kafka.topics import create_topics
from infra.kafka.transactions import OutcomeUnknown, TransactionSink

__all__ = [
    "ERROR_CLASSES",
    "SOON",
    "Batch",
    "BufferLimits",
    "ErrorClass",
    "EventSink",
    "EventSource",
    "Fenced",
    "KafkaFault",
    "OffsetAndNote",
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
    "at_once",
    "check_broker",
    "create_topics",
    "ends_of",
    "name_client",
    "nothing_to_finish",
    "partition_of",
    "read_to_end",
    "record_of_event",
    "topic_ends",
]
