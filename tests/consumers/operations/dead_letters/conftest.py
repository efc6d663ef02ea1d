"""Dead letters as the worker writes them, in a real broker."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from consumers.runtime.dead_letter_limit import Unlimited
from consumers.runtime.failure_router import FailureRouter
from infra.config.kafka import KafkaSettings
from infra.kafka import LOW_LATENCY_DELIVERY, EventSink, Record
from schemas.envelope import Event, to_bytes, to_headers
from schemas.failures import Code, Failure, Rejected
from schemas.items import InlineImage, ItemUpserted
from schemas.topics import CATALOG_ITEMS, SEARCH_REQUESTS

HOUR_MS = 3_600_000


def ignore_failure(_record: Record, _event: Event | None, _failure: Failure) -> None:
    """Publish no outcome."""


@dataclass
class DeadLetterWriter:
    """Writes dead letters by the `FailureRouter` of the worker."""

    sink: EventSink
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    def write(
        self, record: Record, code: Code = Code.IMAGE_MISSING, message: str = "there is no picture"
    ) -> Record:
        """Write a dead letter of a record; returns the record."""
        router = FailureRouter(
            self.sink,
            ignore_failure,
            Unlimited(),
            worker="host-0",
            encoder=lambda: "fake:1",
            delays={},
            now=lambda: self.now,
        )
        router.route(record, None, Rejected(code, message))
        self.sink.flush()
        return record


@pytest.fixture
def sink(kafka: KafkaSettings) -> Iterator[EventSink]:
    made = EventSink(kafka, LOW_LATENCY_DELIVERY)  # it needs no producer id, for which the first record waits
    yield made
    made.close()


@pytest.fixture
def dead_letter_writer(sink: EventSink) -> DeadLetterWriter:
    return DeadLetterWriter(sink)


@pytest.fixture
def now_ms() -> int:
    return round(datetime.now(UTC).timestamp() * 1000)


MakeRecord = Callable[..., Record]


@pytest.fixture
def make_record(picture: bytes, now_ms: int) -> MakeRecord:
    """Makes records of item events as they lie in the catalogue's topic."""

    def make(
        item: str = "a", revision: int = 1, offset: int = 0, headers: Mapping[str, bytes] | None = None
    ) -> Record:
        event = Event(ItemUpserted(item_id=item, revision=revision, images=(InlineImage(data=picture),)), id=item)
        own: dict[str, bytes | None] = {name: text.encode() for name, text in to_headers(event).items()}
        key = f"default:{item}".encode()
        return Record(CATALOG_ITEMS, 1, offset, key, to_bytes(event.body), own | dict(headers or {}), now_ms)

    return make


@pytest.fixture
def search_record(now_ms: int) -> Record:
    return Record(SEARCH_REQUESTS, 0, 3, b"r", b"\xff", {"correlation-id": b"r"}, now_ms)
