"""Vectors that a broken disk has changed: a search that meets one fails with the reason, others succeed."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pytest

from consumers.embedding.pipeline import ImagePipeline
from consumers.indexing.enrichers import enrichers_of
from consumers.indexing.handler import ItemIndexer
from consumers.indexing.outcomes import OutcomePublisher
from consumers.scoring.calibration import PAD, Neighbourhood, stack_probes
from consumers.scoring.calibrator import Calibrator
from consumers.scoring.category_vote import vote
from consumers.scoring.look_parts import LookParts
from consumers.scoring.metric import DEFAULT_METRIC
from consumers.scoring.metric_choice import fit_metric
from consumers.scoring.null_embeddings import NullEmbeddings
from consumers.searching.facets_handler import FacetsHandler
from consumers.searching.replies import ReplyPublisher
from consumers.searching.search_handler import SearchHandler
from consumers.vision.embedder import ImageEmbedder
from consumers.vision.look_vector import look_size
from infra.qdrant import rows
from infra.qdrant.contract import Index, Point, ScoredPoint
from infra.qdrant.point_ids import point_id
from schemas.envelope import Event
from schemas.facets import FacetsRequest, FacetsResult
from schemas.results import SearchResult
from schemas.searches import SearchRequest
from schemas.topics import SEARCH_RESULTS
from tests.consumers.flag_catalogue import items

if TYPE_CHECKING:
    from tests.consumers.conftest import Outbox

Break = Callable[[str, float], None]
SPOILS = (float("nan"), float("inf"), float("-inf"), 1e30)


@pytest.fixture
def breaks(
    shard: Index, pipeline: ImagePipeline, embedder: ImageEmbedder, monkeypatch: pytest.MonkeyPatch
) -> Break:
    """Breaks the vector of an item, past the check that keeps such vectors out."""

    def break_one(item: str, spoil: float) -> None:
        [old] = [point for point in shard.page(None, 100)[0] if point.id == point_id("default", item, 0)]
        assert old.vector is not None
        vector = old.vector.copy()
        vector[:3] = spoil
        with monkeypatch.context() as patched:
            patched.setattr(rows, "_check", lambda *_: None)
            version = rows.version_of(old.payload) + 1
            shard.upsert([Point(old.id, {**old.payload, "version": version}, vector)])

    return break_one


@pytest.fixture
def job(pipeline: ImagePipeline, shard: Index, embedder: ImageEmbedder, outbox: "Outbox") -> SearchHandler:
    """Searches over flags and signs of two tenants."""
    parts = LookParts(embedder.encoder.object_size, embedder.encoder.style_size)
    confidence = Calibrator(shard, embedder.embed, parts, nulls=NullEmbeddings(32))
    events = [*items(0, 6), *items(10, 4, tenant="other")]
    ItemIndexer(pipeline, shard, enrichers_of(shard, confidence), OutcomePublisher(outbox)).handle(events)
    outbox.sent.clear()
    return SearchHandler(pipeline, shard, confidence, ReplyPublisher(outbox, "fake:1"))


def ask(job: SearchHandler, outbox: "Outbox", *requests: dict[str, object]) -> list[SearchResult]:
    outbox.sent.clear()
    events = [Event(SearchRequest.model_validate({"request_id": f"q{n}", **r})) for n, r in enumerate(requests)]
    assert job.handle(events) == {}
    found = [body for body in outbox.bodies(SEARCH_RESULTS) if isinstance(body, SearchResult)]
    return sorted(found, key=lambda result: result.request_id)


@pytest.mark.parametrize("spoil", SPOILS)
def test_a_search_that_meets_a_broken_vector_fails_and_the_others_are_answered(
    job: SearchHandler, outbox: "Outbox", breaks: Break, spoil: float
) -> None:
    before = ask(job, outbox, {"item_id": "i10", "tenant": "other"})
    breaks("i0", spoil)
    results = ask(
        job,
        outbox,
        {"item_id": "i10", "tenant": "other"},
        {"item_id": "i0"},
        {"item_id": "i2", "explain": True, "diversity": 0.5},
        {"item_id": "i12", "tenant": "other", "explain": True, "understand": "auto"},
    )
    assert [result.status for result in results[:1]] == [before[0].status]
    assert [hit.item_id for hit in results[0].hits] == [hit.item_id for hit in before[0].hits]
    assert results[3].status == "ok"
    for result in results[1:3]:
        # An engine may leave out a hit whose score is NaN; a hit that it returns must be reported.
        assert result.status in ("unavailable", "ok", "no_match")
        assert result.status == "unavailable" or "i0" not in {hit.item_id for hit in result.hits}
        if result.status == "unavailable":
            assert result.message is not None
            assert "index" in result.message
    assert results[1].status == "unavailable"


@pytest.mark.parametrize("spoil", SPOILS)
def test_items_with_the_bytes_of_a_broken_point_are_embedded_again_and_indexed(
    job: SearchHandler,
    pipeline: ImagePipeline,
    shard: Index,
    embedder: ImageEmbedder,
    outbox: "Outbox",
    breaks: Break,
    spoil: float,
) -> None:
    breaks("i0", spoil)
    parts, twin = (
        LookParts(embedder.encoder.object_size, embedder.encoder.style_size),
        point_id("default", "twin", 0),
    )
    enrichers = enrichers_of(shard, Calibrator(shard, embedder.embed, parts))
    [again] = items(0, 1, item_id="twin")
    assert ItemIndexer(pipeline, shard, enrichers, OutcomePublisher(outbox)).handle([again]) == {}
    assert parts.has_unit_parts(shard.vectors([twin])[twin])


def test_facets_work_with_a_broken_vector_in_the_index(
    job: SearchHandler, shard: Index, outbox: "Outbox", breaks: Break
) -> None:
    breaks("i0", float("nan"))
    outbox.sent.clear()
    FacetsHandler(shard, ReplyPublisher(outbox, "fake:1")).handle([Event(FacetsRequest(request_id="f"))])
    [result] = outbox.bodies(SEARCH_RESULTS)
    assert isinstance(result, FacetsResult)
    assert result.status == "ok"


@pytest.mark.parametrize("spoil", SPOILS)
def test_a_broken_score_has_no_vote_and_moves_no_threshold(spoil: float) -> None:
    hits = [ScoredPoint("a", spoil, {"category": "broken"}), ScoredPoint("b", 0.9, {"category": "right"})]
    assert [(each.name, each.confidence) for each in vote(hits).likely] == [("right", 1.0)]
    pairs = np.array([[0.5, spoil, 0.1, 0.5], [0.2, 0.3, 0.4, spoil]], np.float32)
    cosines, _ = stack_probes([Neighbourhood(pairs, np.zeros(2, np.int8))])
    assert cosines[0].tolist() == [[0.5, PAD, pytest.approx(0.1), 0.5], pytest.approx([0.2, 0.3, 0.4, PAD])]


@pytest.mark.parametrize("spoil", SPOILS)
def test_a_broken_vector_has_no_part_in_a_collections_metric(
    shard: Index, embedder: ImageEmbedder, breaks: Break, spoil: float
) -> None:
    parts, rng = LookParts(embedder.encoder.object_size, embedder.encoder.style_size), np.random.default_rng(0)
    means = rng.normal(size=(6, look_size(embedder.encoder)))
    for n in range(150):
        payload = {"item": f"default:i{n}", "item_id": f"i{n}", "tenant": "default", "version": 1, "state": "live"}
        payload |= {"category": f"c{n % 6}", "n": 0}
        look = parts.normalise((means[n % 6] + rng.normal(size=means.shape[1]) * 2).astype(np.float32))
        shard.upsert([Point(point_id("default", f"i{n}", 0), payload, look)])
    first = shard.page(None, 1)[0][0]
    breaks(str(first.payload["item_id"]), spoil)
    steps = fit_metric(shard, parts, "default", DEFAULT_METRIC)
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            metric = stop.value
            break
    assert metric.check is not None
    assert metric.check.points == 149
    assert metric.transform is None or np.isfinite(metric.transform).all()
