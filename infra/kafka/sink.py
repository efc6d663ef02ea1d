"""Where events go: a producer that counts only what was acknowledged."""

import threading
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from infra.config.settings import KafkaSettings
from infra.kafka.client_settings import passed_settings
from infra.kafka.config import ConfigValue, client_config, new_client
from infra.kafka.errors import ErrorClass, classify, translated
from infra.kafka.names import plain_topic, topic_name
from infra.kafka.problems import Problems
from infra.kafka.record import OutgoingRecord, Partition
from infra.observability.tracing import SpanWriter
from schemas.envelope import Event, to_bytes, to_headers
from schemas.failures import Unavailable

DELIVERY_SECONDS = 30.0
"""How long a record may wait for its acknowledgement (DECISIONS.md)."""
DROP_SECONDS = 0.5
"""How long the client may take to tell of records that were dropped: it takes milliseconds."""
DISOWNED = (KafkaError.PRODUCER_FENCED, KafkaError.INVALID_PRODUCER_EPOCH, KafkaError._FENCED)
"""What a broker says to a producer from which it takes nothing more."""
NOWHERE = (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_PARTITION, KafkaError._UNKNOWN_TOPIC)
"""What is said of a record for a topic or partition that is not there."""
ANY_PARTITION = -1
"""Lets the key choose the partition."""

ONCE: Mapping[str, ConfigValue] = {"enable.idempotence": True, "linger.ms": 2}
"""A record lands once, in order: for events. The first one waits half a second or more for a producer id."""
SOON: Mapping[str, ConfigValue] = {"enable.idempotence": False, "linger.ms": 0}
"""A record leaves at once and may land twice: for search requests, whose answers go by correlation id."""


def record_of_event(topic: str, key: str, event: Event, partition: int | None = None) -> OutgoingRecord:
    """The record that carries an event."""
    headers = {name: value.encode() for name, value in to_headers(event).items()}
    return OutgoingRecord(topic, key.encode(), to_bytes(event.body), headers, partition, cause=event.position)


class EventSink:
    """Where events go; what was sent counts only after flush(). Each thread flushes what it sent itself.

    `problems` is where it keeps what its client reports, if that is told together with what another does.
    """

    def __init__(
        self, kafka: KafkaSettings, delivery: Mapping[str, ConfigValue] = ONCE, problems: Problems | None = None
    ) -> None:
        self.problems = Problems() if problems is None else problems
        """What the client has reported, with the remedy, until it is over."""
        self._kafka = kafka
        self._config = client_config(kafka) | {
            "acks": "all",
            "delivery.timeout.ms": int(DELIVERY_SECONDS * 1000),
            **delivery,
            "compression.type": "zstd",
            "message.max.bytes": kafka.record_bytes,
            "queue.buffering.max.kbytes": 65_536,
            "partitioner": "murmur2_random",
            **passed_settings(kafka),
        }
        self._spent = False
        self._renewing = threading.Lock()
        self.producer = self._start()
        """For infra.kafka.transactions alone."""
        self._failed: dict[int, list[tuple[OutgoingRecord, KafkaError]]] = defaultdict(list)
        self.tracing: SpanWriter | None = None
        """Where the events that it sends are traced, if anywhere: workers trace what theirs came of instead."""
        self.arrived: dict[Partition, int] = {}
        """The offset of the newest record that has arrived in each partition."""

    def send(self, topic: str, key: str, event: Event, partition: int | None = None) -> None:
        """Queue an event. Raises RecordRefused when it is too large, Unavailable when the queue stays full."""
        event = event if self.tracing is None else self.tracing.sent(event, topic)
        self.send_record(record_of_event(topic, key, event, partition))

    def send_record(self, record: OutgoingRecord) -> None:
        """Queue a record, or its fallback when the client refuses it."""
        sender = threading.get_ident()
        until = time.monotonic() + DELIVERY_SECONDS
        while time.monotonic() < until:
            try:
                with self._renewing:
                    self._renew_if_spent()
                    self._produce(record, sender)
            except BufferError:
                self.producer.poll(0.1)
            except KafkaException as problem:
                error: KafkaError = problem.args[0]
                if (other := replacement(record, error)) is not None:
                    return self.send_record(other)
                size = f" ({record.size:,} bytes)" if classify(error) is ErrorClass.RECORD else ""
                raise translated(error, f"a record for {record.topic}{size} was not taken") from None
            else:
                self.producer.poll(0)
                return
        raise Unavailable(
            f"the queue for {record.topic} stayed full for {DELIVERY_SECONDS:.0f} s: the broker takes nothing"
        )

    def flush(self) -> None:
        """Wait until everything sent is acknowledged, or its fallback is.

        Raises RecordRefused, Unavailable, Fenced or KafkaFault when any that this thread sent was not.
        """
        while True:
            left = self.producer.flush(DELIVERY_SECONDS + 1)
            failed = self._failed.pop(threading.get_ident(), [])
            if not failed and not left:
                return
            if left or any(replacement(record, error) is None for record, error in failed):
                raise _undelivered(failed, left)
            for record, error in failed:
                if (other := replacement(record, error)) is not None:
                    self.send_record(other)

    def close(self) -> None:
        """Give what is queued a last chance."""
        self.producer.flush(1)

    def drop(self) -> None:
        """Forget all that was sent. Until the client has told what became of each record, it keeps its threads and
        its connections, also when nobody uses it any more (confluent-kafka 2.16.1).
        """
        self.producer.purge()
        until = time.monotonic() + DROP_SECONDS
        while len(self.producer) and time.monotonic() < until:
            with suppress(KafkaException):  # it says once more what is wrong with this producer
                self.producer.poll(0.01)
        self._failed.clear()

    def take_failed(self) -> list[tuple[OutgoingRecord, KafkaError]]:
        """What this thread sent in vain so far; for infra.kafka.transactions alone."""
        return self._failed.pop(threading.get_ident(), [])

    def _start(self) -> Producer:
        return new_client(Producer, self._config | {"error_cb": self.problems.note})

    def _produce(self, record: OutgoingRecord, sender: int) -> None:
        self.producer.produce(
            topic_name(self._kafka, record.topic),
            record.value,
            record.key,
            partition=ANY_PARTITION if record.partition is None else record.partition,
            headers=list(record.headers.items()),
            timestamp=record.timestamp_ms,
            on_delivery=partial(self._on_delivery, sender, record),
        )

    def _renew_if_spent(self) -> None:
        """Take a new producer when the broker takes nothing more from this one.

        That a broker says so to a producer without a name is a mistake about its epoch: the local one makes it of
        those whose records timed out while it was frozen (Tansu 0.6.0), and says so for ever.
        """
        if self._spent and "transactional.id" not in self._config:
            # Who waits for a record in the old one is told by this what became of it.
            self.producer.flush(DELIVERY_SECONDS + 1)
            self.producer, self._spent = self._start(), False

    def _on_delivery(self, sender: int, record: OutgoingRecord, error: KafkaError | None, message: Message) -> None:
        topic, partition, offset = message.topic(), message.partition(), message.offset()
        if error is not None:
            self._failed[sender].append((record, error))
            self._spent = self._spent or error.code() in DISOWNED
            if classify(error) is ErrorClass.FATAL:
                self.problems.note(error, record.topic)
        elif topic is not None and partition is not None and offset is not None:
            place = plain_topic(self._kafka, topic), partition
            self.arrived[place] = max(offset, self.arrived.get(place, 0))
            self.problems.clear(record.topic)


def replacement(record: OutgoingRecord, error: KafkaError) -> OutgoingRecord | None:
    """What to send instead of a record that was refused for good; None when it must be told."""
    refused = classify(error) is ErrorClass.RECORD or error.code() in NOWHERE
    return record.fallback if refused else None


def _undelivered(failed: Sequence[tuple[OutgoingRecord, KafkaError]], left: int) -> Exception:
    """What to raise of records that did not arrive: a refusal, which waiting does not mend, is told first."""
    if not failed:
        return Unavailable(f"{left} records were not delivered: no acknowledgement came")
    passing = (ErrorClass.TRY_AGAIN, ErrorClass.TAKEN_AWAY)
    record, error = min(failed, key=lambda each: classify(each[1]) in passing)
    return translated(error, f"{len(failed) + left} records were not delivered; one for {record.topic}")
