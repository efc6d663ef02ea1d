"""Where events go: a producer that counts only what was acknowledged."""

import threading
import time
from collections import defaultdict
from collections.abc import Mapping
from functools import partial

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from infra.kafka.client import ConfigValue, Fenced, Place, Record, client_config, log
from infra.settings import Kafka
from infra.tracing import Tracing
from schemas.envelope import Event, to_bytes, to_headers
from schemas.failures import Unavailable

DELIVERY_SECONDS = 30.0
"""How long a record may wait for its acknowledgement (DECISIONS.md)."""
MAX_RECORD_BYTES = 2_000_000
"""Above the brokers' default of 1 MB, so that a dead letter of the largest event fits with its headers."""
DISOWNED = (KafkaError.PRODUCER_FENCED, KafkaError.INVALID_PRODUCER_EPOCH, KafkaError._FENCED)
"""What a broker says to a producer from which it takes nothing more."""
ANY_PARTITION = -1
"""Lets the key choose the partition."""


ONCE: Mapping[str, ConfigValue] = {"enable.idempotence": True, "linger.ms": 2}
"""A record lands once, in order: for events. The first one waits half a second or more for a producer id."""
SOON: Mapping[str, ConfigValue] = {"enable.idempotence": False, "linger.ms": 0}
"""A record leaves at once and may land twice: for search requests, whose answers go by correlation id."""


class EventSink:
    """Where events go; what was sent counts only after flush(). Each thread flushes what it sent itself."""

    def __init__(self, kafka: Kafka, delivery: Mapping[str, ConfigValue] = ONCE) -> None:
        config = client_config(kafka) | {
            "acks": "all",
            "delivery.timeout.ms": int(DELIVERY_SECONDS * 1000),
            **delivery,
            "compression.type": "zstd",
            "message.max.bytes": MAX_RECORD_BYTES,
            "queue.buffering.max.kbytes": 65_536,
            "partitioner": "murmur2_random",
        }
        self._config = config
        self._spent = False
        self._renewing = threading.Lock()
        self.producer = Producer(config, logger=log)
        """For infra.kafka.transactions alone."""
        self._problems: dict[int, list[str]] = defaultdict(list)
        self.tracing: Tracing | None = None
        """Where the events that it sends are traced, if anywhere: workers trace what theirs came of instead."""
        self.arrived: dict[Place, int] = {}
        """The offset of the newest record that has arrived in each partition."""

    def send(self, topic: str, key: str, event: Event, partition: int | None = None) -> None:
        """Queue an event; raises Unavailable when the queue stays full."""
        event = event if self.tracing is None else self.tracing.sent(event, topic)
        headers = {name: value.encode() for name, value in to_headers(event).items()}
        self.send_raw(topic, key.encode(), to_bytes(event.body), headers, partition=partition)

    def send_raw(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: Mapping[str, bytes | None],
        *,
        partition: int | None = None,
    ) -> None:
        """Queue a record as it is."""
        self.send_record(Record(topic, ANY_PARTITION if partition is None else partition, 0, key, value, headers))

    def send_record(self, record: Record) -> None:
        """Queue a record for its topic and partition, at its own time; a `timestamp_ms` of 0 is now."""
        sender, topic = threading.get_ident(), record.topic
        until = time.monotonic() + DELIVERY_SECONDS
        while time.monotonic() < until:
            try:
                with self._renewing:
                    self._renew_if_spent()
                    self.producer.produce(
                        topic,
                        record.value,
                        record.key,
                        partition=record.partition,
                        headers=list(record.headers.items()),
                        timestamp=record.timestamp_ms,
                        on_delivery=partial(self._delivered, sender),
                    )
            except BufferError:
                self.producer.poll(0.1)
            except KafkaException as error:
                if error.args[0].fatal():
                    raise Fenced(f"this producer can send nothing more ({error.args[0].str()})") from None
                raise Unavailable(f"a record for {topic} was not taken: {error.args[0].str()}") from None
            else:
                self.producer.poll(0)
                return
        raise Unavailable(
            f"the queue for {topic} stayed full for {DELIVERY_SECONDS:.0f} s: the broker takes nothing"
        )

    def flush(self) -> None:
        """Wait until everything sent is acknowledged; raises Unavailable when any that this thread sent was not."""
        left = self.producer.flush(DELIVERY_SECONDS + 1)
        problems = self._problems.pop(threading.get_ident(), [])
        if problems or left:
            reason = problems[0] if problems else "no acknowledgement came"
            raise Unavailable(f"{len(problems) + left} records were not delivered: {reason}")

    def _renew_if_spent(self) -> None:
        """Take a new producer when the broker takes nothing more from this one.

        That a broker says so to a producer without a name is a mistake about its epoch: the local one makes it of
        those whose records timed out while it was frozen (Tansu 0.6.0), and says so for ever.
        """
        if self._spent and "transactional.id" not in self._config:
            # Who waits for a record in the old one is told by this what became of it.
            self.producer.flush(DELIVERY_SECONDS + 1)
            self.producer, self._spent = Producer(self._config, logger=log), False

    def close(self) -> None:
        """Give what is queued a last chance."""
        self.producer.flush(1)

    def _delivered(self, sender: int, error: KafkaError | None, message: Message) -> None:
        topic, partition, offset = message.topic(), message.partition(), message.offset()
        if error is not None:
            self._problems[sender].append(f"{topic}: {error.str()}")
            self._spent = self._spent or error.code() in DISOWNED
        elif topic is not None and partition is not None and offset is not None:
            self.arrived[topic, partition] = max(offset, self.arrived.get((topic, partition), 0))
