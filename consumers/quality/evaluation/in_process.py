"""In-process system: runs the jobs of both workers without Kafka, on a temporary index."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from consumers.embedding.pipeline import ImagePipeline, TextEncoder
from consumers.indexing.enrichers import enrichers_of
from consumers.indexing.handler import ItemIndexer
from consumers.indexing.outcomes import OutcomePublisher
from consumers.quality.evaluation.embedding_store import EmbeddingStore
from consumers.scoring.calibrator import Calibrator
from consumers.scoring.look_parts import parts_of
from consumers.scoring.null_embeddings import NullEmbeddings
from consumers.searching.replies import ReplyPublisher
from consumers.searching.search_handler import SearchHandler
from consumers.vision.look_vector import look_size
from infra.config.errors import BadInput
from infra.kafka import OutgoingRecord
from infra.qdrant.contract import Index
from schemas.envelope import Event
from schemas.failures import Code, Failure, Rejected
from schemas.items import ImageRef, InlineImage, ItemUpserted
from schemas.outcomes import ItemIndexed, ItemOutcome, ItemRejected
from schemas.results import SearchResult
from schemas.searches import SearchRequest

TENANT = "evaluate"
ITEMS, SEARCHES = 64, 16
"""Events per batch, the defaults of the two workers."""
MIN_FREE = 64 << 20
"""Bytes of disk space that the temporary index must leave free."""

Value = TypeVar("Value")


@dataclass
class Outbox:
    """Collects the events that the jobs send, in place of Kafka."""

    sent: list[Event] = field(default_factory=list)

    def send(self, topic: str, key: str, event: Event, partition: int | None = None) -> None:
        self.sent.append(event)

    def send_record(self, record: OutgoingRecord) -> None:
        """Raises NotImplementedError: jobs send events only; raw records are sent by workers."""
        raise NotImplementedError(f"a raw record for {record.topic}")

    def flush(self) -> None:
        """Nothing to do: events are stored at once."""

    def take(self) -> list[Event]:
        """Remove and return the events sent since the last call."""
        events, self.sent = self.sent, []
        return events


@dataclass(frozen=True)
class InProcessSystem:
    """A SystemUnderTest that passes events directly to the jobs, in batches like those of the workers."""

    items: ItemIndexer
    searches: SearchHandler
    confidence: Calibrator
    outbox: Outbox
    index: Index
    tenant: str = TENANT

    def for_tenant(self, name: str) -> "InProcessSystem":
        """The same jobs and index, for another tenant."""
        return replace(self, tenant=f"{self.tenant}-{name}")

    def put(self, items: Iterable[ItemUpserted]) -> Iterator[ItemOutcome]:
        """Index batch by batch; a rejected item has an outcome too."""
        for batch in chunks(items, ITEMS):
            events = [Event(item) for item in batch]
            failures = self.items.handle(events)
            yield from (_rejection(event, failures[event.id]) for event in events if event.id in failures)
            yield from (event.body for event in self.outbox.take() if isinstance(event.body, ItemIndexed))

    def calibrate(self, probe: SearchRequest) -> None:
        """Calibrate the scores of the tenant now."""
        self.confidence.calibrate(self.tenant)

    def search(self, requests: Iterable[SearchRequest]) -> Iterator[SearchResult]:
        """Answer batch by batch."""
        for batch in chunks(requests, SEARCHES):
            self.searches.handle([Event(request) for request in batch])
            bodies = [event.body for event in self.outbox.take()]
            results = {body.request_id: body for body in bodies if isinstance(body, SearchResult)}
            yield from (results[request.request_id] for request in batch)


@contextmanager
def open_direct(store: EmbeddingStore, nulls: NullEmbeddings) -> Iterator[InProcessSystem]:
    """The jobs on an empty index of the embedded engine, deleted at the end.

    Raises BadInput when the embedded engine is not installed.
    """
    try:
        from infra.qdrant.embedded.shard import Shard
    except ModuleNotFoundError:
        raise BadInput("the embedded engine is not installed: pip install lookstream[local]") from None
    encoder = store.embedder.encoder
    with ExitStack() as stack:
        index = Shard(Path(stack.enter_context(TemporaryDirectory(prefix="lookstream-"))), MIN_FREE)
        stack.callback(index.close)
        index.open(encoder.fingerprint, look_size(encoder))
        text_encoder, outbox = encoder if isinstance(encoder, TextEncoder) else None, Outbox()
        pipeline = ImagePipeline(fetch_inline, store.embed, encoder.fingerprint, text_encoder=text_encoder)
        confidence = Calibrator(index, store.embed, parts_of(encoder), nulls)
        items = ItemIndexer(pipeline, index, enrichers_of(index, confidence), OutcomePublisher(outbox))
        searches = SearchHandler(pipeline, index, confidence, ReplyPublisher(outbox, encoder.fingerprint))
        yield InProcessSystem(items, searches, confidence, outbox, index)


def fetch_inline(refs: Sequence[ImageRef]) -> Iterator[dict[int, bytes | Failure]]:
    """The inline data of each picture, in one wave; Rejected for other references, which no evaluation sends."""
    rejected = Rejected(Code.SOURCE_REFUSED, "a trial's pictures travel inside their events: send them inline")
    yield {n: ref.data if isinstance(ref, InlineImage) else rejected for n, ref in enumerate(refs)}


def chunks(values: Iterable[Value], size: int) -> Iterator[list[Value]]:
    """Split values into lists of `size`; the last one may be shorter."""
    remaining = iter(values)
    while chunk := list(islice(remaining, size)):
        yield chunk


def _rejection(event: Event, failure: Failure) -> ItemRejected:
    body = event.body
    ids = (
        {"tenant": body.tenant, "item_id": body.item_id, "revision": body.revision}
        if isinstance(body, ItemUpserted)
        else {}
    )
    reason = {"event_id": event.id, "code": failure.code, "message": failure.message[:500]}
    return ItemRejected.model_validate({**ids, **reason})
