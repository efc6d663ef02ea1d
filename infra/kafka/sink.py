"""Event sink: a Kafka producer whose events count as sent only when the broker has acknowledged them."""

import threading
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from infra.config.kafka import KafkaSettings
from infra.kafka.client_settings import ConfigValue, extra_settings
from infra.kafka.config import client_config, new_client
from infra.kafka.errors import ErrorClass, Fenced, classify, to_exception
from infra.kafka.names import plain_topic, topic_name
from infra.kafka.problems import Problems
from infra.kafka.record import OutgoingRecord, Partition
from infra.observability.tracing import SpanWriter
from schemas.envelope import Event, to_bytes, to_headers
from schemas.failures import Unavailable

FATAL_EVENT = (KafkaException, SystemError)
"""Errors that `poll` and `flush` of the client raise when it reports a fatal error; a flush that also serves
delivery reports raises SystemError (confluent-kafka 2.16.1)."""
DELIVERY_SECONDS = 30.0
"""Seconds that a record may wait for its acknowledgement (DECISIONS.md)."""
DROP_SECONDS = 0.5
"""Seconds that the client may take to report dropped records; it usually takes milliseconds."""
FENCED_CODES = (KafkaError.PRODUCER_FENCED, KafkaError.INVALID_PRODUCER_EPOCH, KafkaError._FENCED)
"""Error codes by which a broker rejects all further records of a producer."""
UNKNOWN_TOPIC_CODES = (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_PARTITION, KafkaError._UNKNOWN_TOPIC)
"""Error codes for a record whose topic or partition does not exist."""
ANY_PARTITION = -1
"""Tells the client to select the partition by the key."""

IN_FLIGHT = "max.in.flight.requests.per.connection"
IDEMPOTENT_DELIVERY: Mapping[str, ConfigValue] = {"enable.idempotence": True, "linger.ms": 2, IN_FLIGHT: 1}
"""Records are written once and in order: for events. The first one waits 0.5 s or more for a producer id.

With several requests in flight the first records of a producer can be lost when a leader dies: the new leader knows
no sequence of this producer, so that it accepts the second request without the first (Kafka 4.4). Then the client
reports both as delivered, the first without an offset (librdkafka 2.16.0, rd_kafka_dr_implicit_ack; issue 921 of
confluent-kafka-go)."""
LOW_LATENCY_DELIVERY: Mapping[str, ConfigValue] = {"enable.idempotence": False, "linger.ms": 0}
"""A record is sent at once and may be written twice: for search requests, whose replies match by correlation id."""


def record_of_event(topic: str, key: str, event: Event, partition: int | None = None) -> OutgoingRecord:
    """The record that carries an event."""
    headers = {name: value.encode() for name, value in to_headers(event).items()}
    return OutgoingRecord(
        topic, key.encode(), to_bytes(event.body), headers, partition, source_position=event.position
    )


class EventSink:
    """Sends events; they count as sent only after flush(), and each thread flushes its own events.

    `problems` stores the client's errors; pass one to share it with another client.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        delivery: Mapping[str, ConfigValue] = IDEMPOTENT_DELIVERY,
        problems: Problems | None = None,
        tracing: SpanWriter | None = None,
    ) -> None:
        self.problems = Problems() if problems is None else problems
        """Errors that the client has reported, with their remedies, until they are resolved."""
        self._kafka = kafka
        self._config = client_config(kafka) | {
            "acks": "all",
            "delivery.timeout.ms": int(DELIVERY_SECONDS * 1000),
            **delivery,
            "compression.type": "zstd",
            "message.max.bytes": kafka.record_bytes,
            "queue.buffering.max.kbytes": 65_536,
            "partitioner": "murmur2_random",
            **extra_settings(kafka),
        }
        self._is_rejected = False
        self._renew_lock = threading.Lock()
        self.producer = self._start()
        """Only for infra.kafka.transactions."""
        self._failed: dict[int, list[tuple[OutgoingRecord, KafkaError]]] = defaultdict(list)
        self._unconfirmed: dict[int, list[OutgoingRecord]] = defaultdict(list)
        self.tracing = tracing
        """Writes a span for each event that is sent; None in workers, which trace their processing instead."""
        self.arrived: dict[Partition, int] = {}
        """Offset of the newest acknowledged record in each partition."""

    def send(self, topic: str, key: str, event: Event, partition: int | None = None) -> None:
        """Queue an event. Raises RecordRefused if it is too large, Unavailable if the queue stays full."""
        event = event if self.tracing is None else self.tracing.sent(event, topic)
        self.send_record(record_of_event(topic, key, event, partition))

    def send_record(self, record: OutgoingRecord) -> None:
        """Queue a record, or its fallback if the client refuses it."""
        thread_id = threading.get_ident()
        deadline = time.monotonic() + DELIVERY_SECONDS
        while time.monotonic() < deadline:
            try:
                with self._renew_lock:
                    self._renew_if_rejected()
                    self._produce(record, thread_id)
            except BufferError:
                self._serve(0.1)
            except KafkaException as problem:
                error: KafkaError = problem.args[0]
                if (fallback := fallback_for(record, error)) is not None:
                    return self.send_record(fallback)
                size = f" ({record.size:,} bytes)" if classify(error) is ErrorClass.RECORD_REJECTED else ""
                raise to_exception(error, f"a record for {record.topic}{size} was not taken") from None
            else:
                self._serve(0)
                return
        raise Unavailable(
            f"the queue for {record.topic} stayed full for {DELIVERY_SECONDS:.0f} s: the broker takes nothing"
        )

    def flush(self) -> None:
        """Wait until all sent records, or their fallbacks, are acknowledged; unconfirmed ones are sent again.

        Raises RecordRefused, Unavailable or KafkaFault if any record of this thread was not delivered; a producer
        with a transactional id also Fenced.
        """
        while True:
            remaining = self._wait_for_reports(DELIVERY_SECONDS + 1)
            failed, unconfirmed = self.pop_failed(), self._pop_unconfirmed()
            if not (failed or remaining or unconfirmed):
                return
            fallbacks = [fallback for each in failed if (fallback := fallback_for(*each)) is not None]
            if remaining or len(fallbacks) < len(failed):
                raise self._delivery_error(failed, remaining)
            for record in (*unconfirmed, *fallbacks):
                self.send_record(record)

    def is_confirmed(self, seconds: float) -> bool:
        """Whether all records of this thread are reported in time, none of them unconfirmed."""
        return not self._wait_for_reports(seconds) and not self._pop_unconfirmed()

    def close(self) -> None:
        """Close the producer, after at most 1 s of waiting for queued records."""
        self._wait_for_reports(1)

    def drop(self) -> None:
        """Discard all queued and unacknowledged records.

        The client keeps its threads and connections, even when it is no longer referenced, until it has reported
        the delivery of each record (confluent-kafka 2.16.1).
        """
        self.producer.purge()
        deadline = time.monotonic() + DROP_SECONDS
        while len(self.producer) and time.monotonic() < deadline:
            self._serve(0.01)
        self._failed.clear()
        self._unconfirmed.clear()

    def pop_failed(self) -> list[tuple[OutgoingRecord, KafkaError]]:
        """Remove and return the failed records of this thread; only for infra.kafka.transactions."""
        return self._failed.pop(threading.get_ident(), [])

    def _pop_unconfirmed(self) -> list[OutgoingRecord]:
        """Remove and return the records of this thread that the client reports as delivered without an offset.

        The client has inferred this from a later record; they may be lost (see IDEMPOTENT_DELIVERY).
        """
        return self._unconfirmed.pop(threading.get_ident(), [])

    def _delivery_error(self, failed: Sequence[tuple[OutgoingRecord, KafkaError]], remaining: int) -> Exception:
        error = _delivery_error(failed, remaining)
        if isinstance(error, Fenced) and "transactional.id" not in self._config:
            return Unavailable(f"{error}; the next record gets a new producer")
        return error

    def _serve(self, seconds: float) -> None:
        """Serve delivery reports.

        This ignores a fatal error of the client: the delivery report of each record contains it too, and the next
        `produce` raises it.
        """
        with suppress(*FATAL_EVENT):
            self.producer.poll(seconds)

    def _wait_for_reports(self, seconds: float) -> int:
        """Wait for the delivery report of each record; returns how many records have none yet."""
        for _ in range(2):  # a fatal error ends the first call early: see `_serve`
            with suppress(*FATAL_EVENT):
                return self.producer.flush(seconds)
        return len(self.producer)

    def _start(self) -> Producer:
        return new_client(Producer, self._config | {"error_cb": self.problems.record_error})

    def _produce(self, record: OutgoingRecord, thread_id: int) -> None:
        self.producer.produce(
            topic_name(self._kafka, record.topic),
            record.value,
            record.key,
            partition=ANY_PARTITION if record.partition is None else record.partition,
            headers=list(record.headers.items()),
            timestamp=record.timestamp_ms,
            on_delivery=partial(self._on_delivery, thread_id, record),
        )

    def _renew_if_rejected(self) -> None:
        """Replace the producer if the broker rejects its records.

        If the producer has no transactional id, the broker is wrong about its epoch. The local broker makes this
        mistake for producers whose records timed out while it was frozen, and never recovers (Tansu 0.6.0).
        """
        if self._is_rejected and "transactional.id" not in self._config:
            # The old producer must first report the delivery of its records to the threads that wait for them.
            self._wait_for_reports(DELIVERY_SECONDS + 1)
            self.producer, self._is_rejected = self._start(), False

    def _on_delivery(
        self, thread_id: int, record: OutgoingRecord, error: KafkaError | None, message: Message
    ) -> None:
        topic, partition, offset = message.topic(), message.partition(), message.offset()
        if error is not None:
            self._failed[thread_id].append((record, error))
            self._is_rejected = self._is_rejected or error.code() in FENCED_CODES
            if classify(error) is ErrorClass.FATAL:
                self.problems.record_error(error, record.topic)
        elif offset is None and self._config["enable.idempotence"]:
            self._unconfirmed[thread_id].append(record)
        elif topic is not None and partition is not None and offset is not None:
            topic_partition = plain_topic(self._kafka, topic), partition
            self.arrived[topic_partition] = max(offset, self.arrived.get(topic_partition, 0))
            self.problems.clear(record.topic)


def fallback_for(record: OutgoingRecord, error: KafkaError) -> OutgoingRecord | None:
    """The fallback of a record that was refused for good; None if the error must be raised."""
    is_refused = classify(error) is ErrorClass.RECORD_REJECTED or error.code() in UNKNOWN_TOPIC_CODES
    return record.fallback if is_refused else None


def _delivery_error(failed: Sequence[tuple[OutgoingRecord, KafkaError]], remaining: int) -> Exception:
    """The exception for undelivered records; a permanent refusal takes precedence over transient errors."""
    if not failed:
        return Unavailable(f"{remaining} records were not delivered: no acknowledgement came")
    transient = (ErrorClass.RETRIABLE, ErrorClass.REVOKED)
    record, error = min(failed, key=lambda each: classify(each[1]) in transient)
    return to_exception(error, f"{len(failed) + remaining} records were not delivered; one for {record.topic}")
