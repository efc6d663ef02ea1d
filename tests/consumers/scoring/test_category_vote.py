"""Categories by vote: only given ones count, clear votes alone are written, and a given one always wins."""

from typing import TYPE_CHECKING

import numpy as np
import pytest

from consumers.embedding.pipeline import ImagePipeline
from consumers.indexing.enrichers import enrichers_of
from consumers.indexing.handler import ItemIndexer
from consumers.indexing.outcomes import OutcomePublisher
from consumers.scoring.calibrator import Calibrator
from consumers.scoring.category_vote import (
    MAX_CATEGORIES,
    MIN_VOTE_SHARE,
    NO_VOTE,
    VOTE_TEMPERATURE,
    VOTE_WEIGHTS,
    VOTER_COUNT,
    vote,
    voter_plan,
)
from consumers.scoring.look_parts import HeadPart, LookParts
from consumers.scoring.null_embeddings import NullEmbeddings
from consumers.searching.replies import ReplyPublisher
from consumers.searching.search_handler import SearchHandler
from consumers.vision.embedder import ImageEmbedder
from consumers.vision.look import Look
from infra.qdrant.contract import Index, ScoredPoint
from infra.qdrant.point_ids import point_id
from schemas.envelope import Event
from schemas.filters import Filters
from schemas.items import InlineImage, ItemFacts, ItemPatched
from schemas.outcomes import ItemIndexed
from schemas.topics import ITEM_OUTCOMES
from tests.consumers.flag_catalogue import items, portrait, search

if TYPE_CHECKING:
    from tests.consumers.conftest import Outbox

pytestmark = [
    pytest.mark.filterwarnings("ignore:Payload indexes have no effect"),
    pytest.mark.filterwarnings("ignore:Local mode performs exact"),
]


def found(score: float, category: str | None, source: str = "given") -> ScoredPoint:
    return ScoredPoint(f"{score}", score, {"category": category, "category_source": source} if category else {})


def test_near_neighbours_count_more_than_far_ones() -> None:
    ranked = vote([found(0.9, "shoe"), found(0.8, "bag"), found(0.8, "bag")]).likely
    assert [likely.name for likely in ranked] == ["shoe", "bag"]
    assert ranked[0].confidence == pytest.approx(1 / (1 + 2 * np.exp(-0.1 / VOTE_TEMPERATURE)))


def test_the_three_likeliest_categories_have_shares_that_sum_to_at_most_1() -> None:
    ranked = vote([found(0.9 - n / 100, name) for n, name in enumerate("abcdaab")]).likely
    assert len(ranked) == MAX_CATEGORIES
    assert [likely.confidence for likely in ranked] == sorted((x.confidence for x in ranked), reverse=True)
    assert sum(likely.confidence for likely in ranked) <= 1


def test_only_given_categories_vote_and_only_so_many() -> None:
    assert vote([found(0.9, "guess", "predicted"), found(0.8, None)]) == NO_VOTE
    crowd = [found(0.9, "near")] * VOTER_COUNT + [found(0.9, "late")] * 50
    assert [likely.name for likely in vote(crowd).likely] == ["near"]


def test_an_unreliable_vote_loses_where_many_voters_agree() -> None:
    hits = [*[found(0.9, "shoe")] * 5, *[found(0.9, "bag")] * 4, found(0.9, "hat")]
    confidences = {likely.name: likely.confidence for likely in vote(hits, 0.8).likely}
    assert confidences == pytest.approx({"shoe": 0.5 * 0.84, "bag": 0.4 * 0.85, "hat": 0.1})


@pytest.fixture
def indexer(pipeline: ImagePipeline, index: Index, confidence: Calibrator, outbox: "Outbox") -> ItemIndexer:
    """An indexer over 24 labelled items, calibrated."""
    job = ItemIndexer(pipeline, index, enrichers_of(index, confidence), OutcomePublisher(outbox))
    job.handle(items(0, 24))
    confidence.calibrate("default")
    outbox.sent.clear()
    return job


def payload(index: Index, item: str) -> dict[str, object]:
    stored = index.sample("default", 100)[point_id("default", item, 0)]
    return {name: value for name, value in stored.items() if name.startswith("category")}


def test_an_item_without_a_category_gets_the_one_that_its_neighbours_clearly_have(
    indexer: ItemIndexer, index: Index, outbox: "Outbox"
) -> None:
    assert indexer.handle(items(40, 2, category=None)) == {}
    assert payload(index, "i40") == {"category": "flag", "category_source": "predicted"}
    assert payload(index, "i41") == {"category": "sign", "category_source": "predicted"}
    outcomes = [body for body in outbox.bodies(ITEM_OUTCOMES) if isinstance(body, ItemIndexed)]
    for outcome, name in zip(outcomes, ("flag", "sign"), strict=True):
        assert outcome.category_predicted is not None
        assert outcome.category_predicted.name == name
        assert outcome.category_predicted.confidence >= MIN_VOTE_SHARE


def test_a_predicted_category_can_be_filtered_by_and_has_its_confidence(
    indexer: ItemIndexer, pipeline: ImagePipeline, index: Index, confidence: Calibrator, outbox: "Outbox"
) -> None:
    indexer.handle(items(40, 1, category=None))
    job = SearchHandler(pipeline, index, confidence, ReplyPublisher(outbox, "fake:1"))
    result = search(job, outbox, portrait(40, "rgbk"), filters=Filters(category=("flag",)))
    stored = {hit.item_id: hit.category_confidence for hit in result.hits}
    assert (stored.pop("i40") or 0) >= MIN_VOTE_SHARE
    assert set(stored.values()) == {None}


def test_predicted_items_never_vote(
    indexer: ItemIndexer, index: Index, confidence: Calibrator, embedder: ImageEmbedder
) -> None:
    indexer.handle(items(40, 2, category=None))
    [look] = embedder.embed([portrait(40, "rgbk")])
    assert isinstance(look, Look)
    [voters] = index.search([voter_plan(confidence.parts.apply_weights(look.vector, VOTE_WEIGHTS), "default")])
    assert len(voters) == VOTER_COUNT
    assert {hit.payload["category_source"] for hit in voters} == {"given"}
    assert {"i40", "i41"}.isdisjoint({hit.payload["item_id"] for hit in voters})


def test_votes_on_what_a_head_was_trained_for_count_as_far_as_they_are_reliable(
    pipeline: ImagePipeline, index: Index, embedder: ImageEmbedder, outbox: "Outbox"
) -> None:
    size = embedder.encoder.object_size
    parts = LookParts(size, embedder.encoder.style_size, HeadPart(size, share=1.0, reliability=0.5))
    unsure = Calibrator(index, embedder.embed, parts, nulls=NullEmbeddings(32))
    job = ItemIndexer(pipeline, index, enrichers_of(index, unsure), OutcomePublisher(outbox))
    job.handle(items(0, 24))
    unsure.calibrate("default")
    job.handle(items(40, 1, category=None))
    assert payload(index, "i40") == {}
    result = search(
        SearchHandler(pipeline, index, unsure, ReplyPublisher(outbox, "fake:1")), outbox, portrait(40, "rgbk")
    )
    assert result.categories[0].confidence == pytest.approx(0.55, abs=0.05)
    of_given_category = [hit.confidence for hit in result.hits if hit.item_id != "i40"]
    assert max(of_given_category) == pytest.approx(0.54, abs=0.05)


def test_what_looks_like_nothing_here_gets_no_category(indexer: ItemIndexer, index: Index) -> None:
    indexer.handle(items(50, 1, category=None, images=(InlineImage(data=portrait(50, "yyyy")),)))
    assert payload(index, "i50") == {}


def test_before_a_calibration_nothing_is_predicted(
    pipeline: ImagePipeline, index: Index, confidence: Calibrator, outbox: "Outbox"
) -> None:
    job = ItemIndexer(pipeline, index, enrichers_of(index, confidence), OutcomePublisher(outbox))
    job.handle(items(0, 24))
    job.handle(items(40, 1, category=None))
    assert payload(index, "i40") == {}


def test_a_category_that_is_given_later_wins(indexer: ItemIndexer, index: Index) -> None:
    indexer.handle(items(40, 2, category=None))
    facts = ItemFacts(category="banner")
    indexer.handle([Event(ItemPatched(item_id="i40", revision=2, facts=facts))])
    indexer.handle(items(41, 1, category="banner", revision=2))
    for item in ("i40", "i41"):
        assert payload(index, item) == {"category": "banner", "category_source": "given"}


def test_an_item_does_not_vote_for_itself_once_its_category_is_gone(indexer: ItemIndexer, index: Index) -> None:
    indexer.handle(items(40, 1, category="banner"))
    indexer.handle(items(40, 1, category=None, revision=2))
    assert payload(index, "i40") == {"category": "flag", "category_source": "predicted"}


def test_what_was_predicted_of_a_picture_stays_with_it(
    indexer: ItemIndexer, index: Index, outbox: "Outbox"
) -> None:
    indexer.handle(items(40, 1, category=None))
    indexer.handle(items(0, 24, category="pennant", revision=2))  # a vote would come to this now
    indexer.handle(items(40, 1, category=None, title="new", revision=2))
    assert payload(index, "i40") == {"category": "flag", "category_source": "predicted"}
    last = outbox.bodies(ITEM_OUTCOMES)[-1]
    assert isinstance(last, ItemIndexed)
    assert (last.images, last.unchanged) == (0, 1)
    assert last.category_predicted is not None
    assert last.category_predicted.name == "flag"
