"""Facets count items by the values of their fields; each filter leaves its own field as it is."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import pytest

from consumers.embedding.pipeline import ImagePipeline
from consumers.indexing.enrichers import enrichers_of
from consumers.indexing.handler import ItemIndexer
from consumers.indexing.outcomes import OutcomePublisher
from consumers.points.progress import ProgressReader
from consumers.scoring.calibrator import Calibrator
from consumers.searching.facets_handler import FacetsHandler
from consumers.searching.handler import RequestHandler
from consumers.searching.replies import ReplyPublisher
from consumers.searching.search_handler import SearchHandler
from infra.qdrant.contract import Index
from infra.qdrant.embedded.client import EmbeddedIndex
from schemas.envelope import Event
from schemas.facets import FacetsRequest, FacetsResult
from schemas.failures import Unavailable
from schemas.filters import ColourName
from schemas.results import SearchResult
from schemas.searches import SearchRequest
from schemas.topics import SEARCH_RESULTS
from tests.consumers.flag_catalogue import items

if TYPE_CHECKING:
    from tests.consumers.conftest import Outbox

pytestmark = [
    pytest.mark.filterwarnings("ignore:Payload indexes have no effect"),
    pytest.mark.filterwarnings("ignore:Local mode performs exact"),
]


def ask(**fields: Any) -> FacetsRequest:
    return FacetsRequest.model_validate({"request_id": "f", **fields}, strict=False)


@pytest.fixture
def counted(pipeline: ImagePipeline, index: Index, confidence: Calibrator, outbox: "Outbox") -> FacetsHandler:
    """Facets of twelve flags and signs, all of brand Acme but three."""
    indexer = ItemIndexer(pipeline, index, enrichers_of(index, confidence), OutcomePublisher(outbox))
    indexer.handle(items(0, 9, brand="Acme") + items(9, 3, brand="Other", in_stock=True))
    outbox.sent.clear()
    return FacetsHandler(index, ReplyPublisher(outbox, "fake:1"))


def answer(job: FacetsHandler, outbox: "Outbox", request: FacetsRequest, ago: float = 0) -> FacetsResult:
    assert job.handle([Event(request, time=datetime.now(UTC) - timedelta(seconds=ago))]) == {}
    [result] = outbox.bodies(SEARCH_RESULTS)
    assert isinstance(result, FacetsResult)
    return result


def counts(result: FacetsResult) -> dict[str, dict[str, int]]:
    return {name: {each.value: each.count for each in values} for name, values in result.counts.items()}


def test_items_are_counted_by_each_field(counted: FacetsHandler, outbox: "Outbox") -> None:
    result = answer(counted, outbox, ask(facets=["category", "brand", "in_stock", "creator"]))
    assert counts(result) == {
        "category": {"flag": 6, "sign": 6},
        "brand": {"Acme": 9, "Other": 3},
        "in_stock": {"true": 3},
        "creator": {},
    }


def test_a_filter_leaves_the_counts_of_its_own_field(counted: FacetsHandler, outbox: "Outbox") -> None:
    result = answer(counted, outbox, ask(facets=["category", "brand"], filters={"brand": ["Other"]}))
    assert counts(result) == {"category": {"flag": 1, "sign": 2}, "brand": {"Acme": 9, "Other": 3}}


def test_the_most_frequent_come_first_and_no_more_than_asked_for(counted: FacetsHandler, outbox: "Outbox") -> None:
    result = answer(counted, outbox, ask(facets=["brand"], limit=1))
    assert counts(result) == {"brand": {"Acme": 9}}


def test_colours_are_counted_by_name(counted: FacetsHandler, outbox: "Outbox") -> None:
    found = counts(answer(counted, outbox, ask(facets=["colours"])))["colours"]
    assert set(found) <= set(get_args(ColourName))
    assert max(found.values()) <= 12
    assert found["red"] > 6


def test_a_request_past_its_deadline_is_expired(counted: FacetsHandler, outbox: "Outbox") -> None:
    assert answer(counted, outbox, ask(deadline_ms=1000), ago=2).status == "expired"


def test_while_the_index_is_away_there_is_waiting_and_then_the_truth(outbox: "Outbox") -> None:
    away = FacetsHandler(EmbeddedIndex(Path("nobody listens here")), ReplyPublisher(outbox, "fake:1"))
    with pytest.raises(Unavailable):
        away.handle([Event(ask(deadline_ms=60_000))])
    assert outbox.sent == []
    assert answer(away, outbox, ask(deadline_ms=500)).status == "unavailable"


def test_searches_and_facets_of_one_batch_are_each_answered(
    counted: FacetsHandler, pipeline: ImagePipeline, index: Index, confidence: Calibrator, outbox: "Outbox"
) -> None:
    answers = ReplyPublisher(outbox, "fake:1")
    searches = SearchHandler(pipeline, index, confidence, answers)
    job = RequestHandler(searches, counted, ProgressReader(index, lambda _topic: 1), answers)
    assert job.handle([Event(ask()), Event(SearchRequest(request_id="s", item_id="i0", strict=False))]) == {}
    results = [body for body in outbox.bodies(SEARCH_RESULTS) if isinstance(body, FacetsResult | SearchResult)]
    assert {(body.request_id, body.status) for body in results} == {("f", "ok"), ("s", "ok")}
