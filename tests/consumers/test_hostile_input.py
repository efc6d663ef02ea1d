"""Whatever the schemas accept goes all the way through: into the embedded engine, and through a search of it."""

from typing import TYPE_CHECKING

import pytest

from consumers.embedding.pipeline import ImagePipeline
from consumers.indexing.enrichers import enrichers_of
from consumers.indexing.handler import ItemIndexer
from consumers.indexing.outcomes import OutcomePublisher
from consumers.scoring.calibrator import Calibrator
from consumers.scoring.look_parts import LookParts
from consumers.searching.facets_handler import FacetsHandler
from consumers.searching.replies import ReplyPublisher
from consumers.searching.search_handler import SearchHandler
from consumers.vision.embedder import ImageEmbedder
from infra.qdrant.contract import Index
from schemas.envelope import Event, from_record
from schemas.facets import FacetsRequest, FacetsResult
from schemas.failures import Code, Rejected
from schemas.results import SearchResult
from schemas.searches import SearchRequest
from schemas.topics import SEARCH_WATCHES
from tests.hostile.records import HostileRecord, hostile_records
from tests.hostile.requests import hostile_requests

if TYPE_CHECKING:
    from tests.consumers.conftest import Outbox

LARGEST, NOW_MS = 20_000, 1_714_564_800_000


@pytest.fixture
def confidence(shard: Index, embedder: ImageEmbedder) -> Calibrator:
    return Calibrator(shard, embedder.embed, LookParts(embedder.encoder.object_size, embedder.encoder.style_size))


def event_of(record: HostileRecord) -> Event | None:
    """The event of a record; none of one that is refused on sight."""
    try:
        headers = dict(record.headers) | {"ce_id": record.key or b"none"}
        at = record.timestamp_ms or NOW_MS
        return from_record(f"{record.topic}/0/1", record.key, record.value, headers, at)
    except Rejected:
        return None


def test_every_item_event_that_is_read_is_indexed_or_refused_with_its_code(
    shard: Index, confidence: Calibrator, pipeline: ImagePipeline, outbox: "Outbox"
) -> None:
    job = ItemIndexer(pipeline, shard, enrichers_of(shard, confidence), OutcomePublisher(outbox))
    records = [record for record in hostile_records(4, 500, LARGEST) if record.topic != SEARCH_WATCHES]
    read = [(record, event) for record in records if (event := event_of(record)) is not None]
    assert len(read) > 100
    for start in range(0, len(read), 32):
        some = read[start : start + 32]
        failures = job.handle([event for _, event in some])
        for record, event in some:
            found = failures[event.id].code if event.id in failures else None
            assert found == record.code, (record.kind, failures.get(event.id))
    assert shard.count("hostile") > 30


def test_every_request_that_is_read_is_answered_and_with_its_code(
    shard: Index, confidence: Calibrator, pipeline: ImagePipeline, outbox: "Outbox"
) -> None:
    answers = ReplyPublisher(outbox, "fake:1")
    searches, facets = SearchHandler(pipeline, shard, confidence, answers), FacetsHandler(shard, answers)
    codes: dict[str, tuple[str, Code | None]] = {}
    for record in hostile_requests(4, 500, LARGEST):
        event = event_of(record._replace(timestamp_ms=0) if record.kind != "time" else record)
        body = None if event is None else event.body
        if event is None or not isinstance(body, SearchRequest | FacetsRequest):
            continue
        as_of_now = Event(body, event.source, body.request_id, extra=event.extra)
        (searches if isinstance(body, SearchRequest) else facets).handle([as_of_now])
        codes[body.request_id] = record.kind, record.code
    bodies = [event.body for _, _, event, _ in outbox.sent]
    results = {body.request_id: body for body in bodies if isinstance(body, SearchResult | FacetsResult)}
    assert results.keys() == codes.keys()
    assert len(codes) > 100
    for name, (kind, code) in codes.items():
        result = results[name]
        if result.status == "expired":
            continue  # on a machine that is busy a deadline of 50 ms passes
        assert result.code == code, (kind, result.message)
        assert result.status == ("rejected" if code else result.status)
        assert result.status != "unavailable", (kind, result.message)
