"""Sends records to the topics: at once, or spread over a time while other things happen."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from infra.config.kafka import KafkaSettings
from infra.kafka import EventSink, Record
from infra.kafka.sink import IDEMPOTENT_DELIVERY
from schemas.failures import Unavailable
from tests.outgoing_record import to_outgoing

DELIVERY_MS = 600_000
"""A broker that is frozen gets everything once it goes on."""
TICK_SECONDS = 0.05
UNACKNOWLEDGED = 4
"""So many records are on their way at most. A fifth, for a partition whose leader is slow, makes the
client's thread spin until the leader answers (librdkafka 2.16.1, issue 3692), which takes the processor from the
brokers."""


class Sender:
    """Sends records in their order; of a frozen broker it waits for the end."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._sink = EventSink(kafka, {**IDEMPOTENT_DELIVERY, "delivery.timeout.ms": DELIVERY_MS})

    def send(self, records: Sequence[Record]) -> None:
        """Send records and wait until the broker has them."""
        for record in records:
            self._sink.send_record(to_outgoing(record))
        self._flush()

    @contextmanager
    def spread(self, records: Sequence[Record], seconds: float) -> Iterator["Spread"]:
        """Send records evenly over `seconds` while the block runs."""
        spread = Spread(len(records))
        thread = threading.Thread(target=self._drip, args=(records, seconds, spread), daemon=True)
        thread.start()
        try:
            yield spread
        finally:
            spread.hurry.set()
            thread.join()

    def _drip(self, records: Sequence[Record], seconds: float, spread: "Spread") -> None:
        started = time.monotonic()
        while spread.sent < len(records):
            passed = 1.0 if spread.hurry.is_set() else (time.monotonic() - started) / seconds
            due = min(len(records), round(passed * len(records)))
            for record in records[spread.sent : due]:
                send_in_turn(self._sink, record)
            spread.sent = due
            spread.hurry.wait(TICK_SECONDS)
        self._flush()

    def _flush(self) -> None:
        until = time.monotonic() + DELIVERY_MS / 1000
        while True:
            try:
                return self._sink.flush()
            except Unavailable:
                if time.monotonic() > until:
                    raise


def send_in_turn(sink: EventSink, record: Record) -> None:
    """Send a record as soon as few others are on their way."""
    while len(sink.producer) >= UNACKNOWLEDGED:
        sink.producer.poll(0.01)
    sink.send_record(to_outgoing(record))


@dataclass
class Spread:
    """Records that are being sent over time."""

    records: int
    sent: int = 0
    hurry: threading.Event = field(default_factory=threading.Event)
    """If set, the rest is sent at once."""
