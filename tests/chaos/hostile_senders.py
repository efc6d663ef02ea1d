"""Sends hostile records unchanged, plain and compressed, and notes those that the broker refuses."""

import time
from collections.abc import Iterable, Sequence
from itertools import cycle

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from infra.config.kafka import KafkaSettings
from tests.hostile.records import HostileRecord

LARGEST = 8_100_000


class HostileSender:
    """Sends by two clients in turn, one of which compresses."""

    def __init__(self, kafka: KafkaSettings) -> None:
        limits = {
            "bootstrap.servers": str(kafka.bootstrap),
            "message.max.bytes": LARGEST,
            "linger.ms": 5,
            "log_level": 0,
        }
        self._producers = [Producer({**limits, "compression.type": name}) for name in ("none", "zstd")]
        self._turns = cycle(self._producers)
        self.refused: set[int] = set()
        """Numbers of the records that the client or the broker did not take."""
        self._sent = 0

    def send(self, records: Sequence[HostileRecord], seconds: float) -> None:
        """Send records evenly over so many seconds, and wait for their acknowledgements."""
        started = time.monotonic()
        for place, record in enumerate(records):
            time.sleep(max(0.0, started + seconds * place / len(records) - time.monotonic()))
            self._send(record, self._sent)
            self._sent += 1
        for producer in self._producers:
            producer.flush(60)

    def _send(self, record: HostileRecord, number: int) -> None:
        def delivered(error: KafkaError | None, _message: Message) -> None:
            if error is not None:
                self.refused.add(number)

        producer = next(self._turns)
        try:
            producer.produce(
                record.topic, record.value, record.key,
                headers=list(record.headers), timestamp=record.timestamp_ms, on_delivery=delivered,
            )  # fmt: skip
        except (KafkaException, ValueError, OverflowError, TypeError):
            self.refused.add(number)
        producer.poll(0)

    def accepted(self, records: Iterable[HostileRecord]) -> list[HostileRecord]:
        """The records that the broker has accepted; `records` are all, in the order in which they were sent."""
        return [record for number, record in enumerate(records) if number not in self.refused]
