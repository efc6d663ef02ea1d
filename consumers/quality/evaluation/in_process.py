"""The system without Kafka: the very jobs of the two workers, in this process, on an index of its own."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from consumers.embedding.pipeline import ImagePipeline
from consumers.indexing.handler import ItemIndexer
from consumers.indexing.judges import enrichers_of
from consumers.quality.evaluation.embedding_store import EmbeddingStore
from consumers.scoring.calibration import LookParts
from consumers.scoring.calibrator import Calibrator
from consumers.scoring.null_embeddings import NullEmbeddings
from consumers.searching.replies import ReplyPublisher
from consumers.searching.search_handler import SearchHandler
from consumers.vision.embedder import look_size
from infra.console import BadInput
from infra.kafka import OutgoingRecord
from schemas.envelope import Event
from schemas.failures import Code, Failure, Rejected
from schemas.items import ImageRef, InlineImage, ItemUpserted
from schemas.outcomes import ItemIndexed, ItemOutcome, ItemRejected
from schemas.results import SearchResult
from schemas.searches import SearchRequest

TENANT = "evaluate"
ITEMS, SEARCHES = 64, 16
"""Events that a job is handed at once, as the workers do by default."""
MIN_FREE = 64 << 20
"""Bytes of disk that the temporary index leaves."""

Thing = TypeVar("Thing")


@dataclass
class Outbox:
    """Takes what the jobs send, in place of Kafka."""

    sent: list[Event] = field(default_factory=list)

    def send(self, topic: str, key: str, event: Event, partition: int | None = None) -> None:
        """Keep an event."""
        self.sent.append(event)

    def send_record(self, record: OutgoingRecord) -> None:
        """Jobs send events alone: only a worker sends raw records."""
        raise NotImplementedError(f"a raw record for {record.topic}")

    def flush(self) -> None:
        """What was sent has arrived already."""

    def take(self) -> list[Event]:
        """What was sent since the last time."""
        taken, self.sent = self.sent, []
        return taken


@dataclass(frozen=True)
class InProcessSystem:
    """A System whose events go straight to the jobs, in batches like the workers'."""

    items: ItemIndexer
    searches: SearchHandler
    confidence: Calibrator
    outbox: Outbox
    tenant: str = TENANT

    def put(self, items: Iterable[ItemUpserted]) -> Iterator[ItemOutcome]:
        """Index batch by batch; what was refused has its outcome too."""
        for few in chunks(items, ITEMS):
            events = [Event(item) for item in few]
            failures = self.items.handle(events)
            yield from (_refused(event, failures[event.id]) for event in events if event.id in failures)
            yield from (event.body for event in self.outbox.take() if isinstance(event.body, ItemIndexed))

    def settle(self, probe: SearchRequest) -> None:
        """Measure what scores mean here, now."""
        self.confidence.calibrate(self.tenant)

    def ask(self, requests: Iterable[SearchRequest]) -> Iterator[SearchResult]:
        """Answer batch by batch."""
        for few in chunks(requests, SEARCHES):
            self.searches.handle([Event(request) for request in few])
            bodies = [event.body for event in self.outbox.take()]
            answers = {body.request_id: body for body in bodies if isinstance(body, SearchResult)}
            yield from (answers[request.request_id] for request in few)


@contextmanager
def open_direct(looks: EmbeddingStore, nulls: NullEmbeddings) -> Iterator[InProcessSystem]:
    """The jobs on an empty index of the embedded engine, which is gone at the end; raises BadInput without it."""
    try:
        from infra.qdrant.embedded.shard import Shard
    except ModuleNotFoundError:
        raise BadInput("the embedded engine is not installed: pip install lookstream[local]") from None
    encoder = looks.eyes.encoder
    with ExitStack() as stack:
        index = Shard(Path(stack.enter_context(TemporaryDirectory(prefix="lookstream-"))), MIN_FREE)
        stack.callback(index.close)
        index.open(encoder.fingerprint, look_size(encoder))
        sight, outbox = ImagePipeline(fetch_inline, looks.look_at, encoder.fingerprint), Outbox()
        confidence = Calibrator(index, looks.look_at, LookParts(encoder.object_size, encoder.style_size), nulls)
        items = ItemIndexer(sight, index, enrichers_of(index, confidence), outbox)
        searches = SearchHandler(sight, index, confidence, ReplyPublisher(outbox, encoder.fingerprint))
        yield InProcessSystem(items, searches, confidence, outbox)


def fetch_inline(refs: Sequence[ImageRef]) -> list[bytes | Failure]:
    """The pictures that travel inside their events; there are no others in a trial."""
    refused = Rejected(Code.SOURCE_REFUSED, "a trial's pictures travel inside their events: send them inline")
    return [ref.data if isinstance(ref, InlineImage) else refused for ref in refs]


def chunks(things: Iterable[Thing], size: int) -> Iterator[list[Thing]]:
    """All of them in lists of `size`, the last one perhaps shorter."""
    rest = iter(things)
    while few := list(islice(rest, size)):
        yield few


def _refused(event: Event, failure: Failure) -> ItemRejected:
    body = event.body
    about = (
        {"tenant": body.tenant, "item_id": body.item_id, "revision": body.revision}
        if isinstance(body, ItemUpserted)
        else {}
    )
    why = {"event_id": event.id, "code": failure.code, "message": failure.message[:500]}
    return ItemRejected.model_validate({**about, **why})
