"""The event sink, with librdkafka's mock cluster: it refuses a request on demand, which no real broker does."""

import ctypes
from contextlib import closing
from pathlib import Path

import confluent_kafka
import pytest
from confluent_kafka import Consumer

from infra.config.kafka import KafkaSettings
from infra.kafka import EventSink, OutgoingRecord, TransactionSink, read_to_end
from infra.kafka.sink import IDEMPOTENT_DELIVERY, IN_FLIGHT
from infra.kafka.transactions import ANSWER_SECONDS
from schemas.failures import Unavailable

TOPIC, PARTITION = "t", 0
ROUND_TRIP_MS = 300
"""Long enough to send a second request before the answer to the first."""
PRODUCE, NOT_LEADER = 0, 6
"""Kafka's numbers for this request and this error."""
MOCK = KafkaSettings(
    bootstrap="mock", client={"test.mock.num.brokers": 3, "batch.num.messages": 1}, session_timeout_ms=6_000
)
"""A cluster of its own for each producer; each record is a request."""


class MockCluster:
    """The cluster inside a producer that has `test.mock.num.brokers`, by librdkafka's functions for tests."""

    def __init__(self, sink: EventSink) -> None:
        (path,) = Path(confluent_kafka.__file__).parent.parent.glob("confluent_kafka.libs/librdkafka*")
        self._library = ctypes.CDLL(str(path))
        for name in ("rd_kafka_handle_mock_cluster", "rd_kafka_mock_cluster_bootstraps"):
            getattr(self._library, name).restype = ctypes.c_void_p
        # The client's pointer follows the two words with which each Python object begins.
        client = ctypes.c_void_p.from_address(id(sink.producer) + 2 * ctypes.sizeof(ctypes.c_void_p))
        self._cluster = ctypes.c_void_p(self._library.rd_kafka_handle_mock_cluster(client))
        self._library.rd_kafka_mock_topic_create(self._cluster, TOPIC.encode(), 1, 1)

    @property
    def bootstrap(self) -> str:
        """The addresses of its brokers."""
        found = self._library.rd_kafka_mock_cluster_bootstraps(self._cluster)
        return (ctypes.cast(found, ctypes.c_char_p).value or b"").decode()

    def refuse_one_produce_request(self) -> None:
        """Refuse the next produce request, as a broker does that is not the leader yet."""
        one, error = ctypes.c_size_t(1), ctypes.c_int(NOT_LEADER)
        self._library.rd_kafka_mock_push_request_errors(self._cluster, ctypes.c_int16(PRODUCE), one, error)

    def answer_slowly(self, round_trip_ms: int) -> None:
        """Answer each request after this time."""
        self._library.rd_kafka_mock_broker_set_rtt(self._cluster, -1, round_trip_ms)


def record(value: bytes) -> OutgoingRecord:
    return OutgoingRecord(TOPIC, b"", value, {}, PARTITION)


def open_cluster(sink: EventSink) -> MockCluster:
    """The cluster of a producer that has its id and has sent a record; the next request will be refused."""
    cluster = MockCluster(sink)
    sink.send_record(record(b"before"))
    sink.flush()
    cluster.refuse_one_produce_request()
    cluster.answer_slowly(ROUND_TRIP_MS)
    return cluster


def values_in(cluster: MockCluster) -> list[bytes | None]:
    return [each.value for each in read_to_end(KafkaSettings(bootstrap=cluster.bootstrap), [TOPIC])]


def test_records_arrive_in_order_although_a_request_is_refused() -> None:
    with closing(EventSink(MOCK)) as sink:
        cluster = open_cluster(sink)
        for value in (b"first", b"second"):
            sink.send_record(record(value))
        sink.flush()
        assert values_in(cluster) == [b"before", b"first", b"second"]


def test_a_record_that_the_client_reports_without_an_offset_is_sent_again() -> None:
    with closing(EventSink(MOCK, {**IDEMPOTENT_DELIVERY, IN_FLIGHT: 5})) as sink:
        cluster = open_cluster(sink)
        for value in (b"first", b"second"):
            sink.send_record(record(value))
        sink.flush()
        assert values_in(cluster) == [b"before", b"second", b"first"]


def test_a_transaction_is_not_committed_before_its_records_are_confirmed() -> None:
    with closing(TransactionSink(MOCK, "worker")) as sink:
        cluster = MockCluster(sink._sink)
        consumer = Consumer({"bootstrap.servers": cluster.bootstrap, "group.id": "g"})
        cluster.answer_slowly(round(ANSWER_SECONDS * 1000))
        with pytest.raises(Unavailable, match="not confirmed all records"):
            sink.commit([record(b"first")], {}, consumer.consumer_group_metadata)
        consumer.close()
