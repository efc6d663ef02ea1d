"""Where events go: a producer that counts only what was acknowledged."""

import time
from collections.abc import Mapping

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from infra.kafka.client import ConfigValue, client_config, log
from infra.settings import Kafka
from schemas.envelope import Event, to_bytes, to_headers
from schemas.failures import Unavailable

DELIVERY_SECONDS = 30.0
"""How long a record may wait for its acknowledgement (DECISIONS.md)."""
ANY_PARTITION = -1
"""Lets the key choose the partition."""


ONCE: Mapping[str, ConfigValue] = {"enable.idempotence": True, "linger.ms": 2}
"""A record lands once, in order: for events. The first one waits half a second or more for a producer id."""
SOON: Mapping[str, ConfigValue] = {"enable.idempotence": False, "linger.ms": 0}
"""A record leaves at once and may land twice: for search requests, whose answers go by correlation id."""


class EventSink:
    """Where events go; what was sent counts only after flush()."""

    def __init__(self, kafka: Kafka, delivery: Mapping[str, ConfigValue] = ONCE) -> None:
        config = client_config(kafka) | {
            "acks": "all",
            **delivery,
            "compression.type": "zstd",
            "delivery.timeout.ms": int(DELIVERY_SECONDS * 1000),
            "message.max.bytes": 1_000_000,
            "queue.buffering.max.kbytes": 65_536,
            "partitioner": "murmur2_random",
        }
        self._producer = Producer(config, logger=log)
        self._problems: list[str] = []

    def send(self, topic: str, key: str, event: Event, partition: int | None = None) -> None:
        """Queue an event; raises Unavailable when the queue stays full."""
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
        until = time.monotonic() + DELIVERY_SECONDS
        while time.monotonic() < until:
            try:
                self._producer.produce(
                    topic,
                    value,
                    key,
                    partition=ANY_PARTITION if partition is None else partition,
                    headers=list(headers.items()),
                    on_delivery=self._delivered,
                )
            except BufferError:
                self._producer.poll(0.1)
            except KafkaException as error:
                raise Unavailable(f"a record for {topic} was not taken: {error.args[0].str()}") from None
            else:
                self._producer.poll(0)
                return
        raise Unavailable(
            f"the queue for {topic} stayed full for {DELIVERY_SECONDS:.0f} s: the broker takes nothing"
        )

    def flush(self) -> None:
        """Wait until everything sent is acknowledged; raises Unavailable when any of it was not."""
        left = self._producer.flush(DELIVERY_SECONDS + 1)
        problems, self._problems = self._problems, []
        if problems or left:
            reason = problems[0] if problems else "no acknowledgement came"
            raise Unavailable(f"{len(problems) + left} records were not delivered: {reason}")

    def close(self) -> None:
        """Give what is queued a last chance."""
        self._producer.flush(1)

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._problems.append(f"{message.topic()}: {error.str()}")
