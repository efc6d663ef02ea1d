"""The options of a search: pages, groups, diversity, boosts, explanations, `like` and `unlike`."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from consumers.embedding.pipeline import ImagePipeline
from consumers.indexing.enrichers import enrichers_of
from consumers.indexing.handler import ItemIndexer
from consumers.indexing.outcomes import OutcomePublisher
from consumers.scoring.calibration import PART_COUNT, Calibration
from consumers.scoring.calibrator import Calibrator
from consumers.scoring.metric import Metric
from consumers.searching.replies import ReplyPublisher
from consumers.searching.search_handler import SearchHandler
from infra.qdrant.contract import Index
from infra.qdrant.point_ids import calibration_note, point_id
from schemas.envelope import Event
from schemas.failures import Code
from schemas.items import InlineImage, ItemUpserted
from schemas.results import SearchResult
from tests.consumers.conftest import answer_to
from tests.consumers.flag_catalogue import portrait

if TYPE_CHECKING:
    from tests.consumers.conftest import Outbox

pytestmark = [
    pytest.mark.filterwarnings("ignore:Payload indexes have no effect"),
    pytest.mark.filterwarnings("ignore:Local mode performs exact"),
]

NOW = datetime.now(UTC)


def thing(number: int) -> ItemUpserted:
    """Even ones are red flags of Acme, all alike; odd ones signs of other brands, cheaper and older."""
    even = number % 2 == 0
    return ItemUpserted.model_validate(
        {
            "item_id": f"i{number}",
            "revision": 1,
            "images": (InlineImage(data=portrait(number, "rgbk" if even else "bkyr")),),
            "category": "flag" if even else "sign",
            "brand": "Acme" if even else f"B{number}",
            "price": "20.00" if even else "5.00",
            "currency": "EUR",
            "in_stock": not even,
            "created_at": NOW - timedelta(days=0 if even else 30),
        },
        strict=False,
    )


@pytest.fixture
def job(pipeline: ImagePipeline, index: Index, confidence: Calibrator, outbox: "Outbox") -> SearchHandler:
    """Searches over six flags and six signs."""
    indexer = ItemIndexer(pipeline, index, enrichers_of(index, confidence), OutcomePublisher(outbox))
    assert indexer.handle([Event(thing(number)) for number in range(12)]) == {}
    return SearchHandler(pipeline, index, confidence, ReplyPublisher(outbox, "fake:1"))


@pytest.fixture
def ask(job: SearchHandler, outbox: "Outbox") -> Any:
    """Asks one question; best effort, unless it says otherwise."""
    return partial(answer_to, job, outbox)


def ids(result: SearchResult) -> list[str]:
    return [hit.item_id for hit in result.hits]


def flag() -> InlineImage:
    return InlineImage(data=portrait(99, "rgbk"))


def test_pages_follow_each_other_and_say_when_they_end(ask: Any) -> None:
    whole = ask(image=flag(), top_k=12)
    pages = [ask(image=flag(), top_k=5, offset=offset) for offset in (0, 5, 10)]
    assert [id_ for page in pages for id_ in ids(page)] == ids(whole)
    assert [page.more for page in pages] == [True, True, False]
    assert not whole.more
    assert ask(image=flag(), offset=50).status == "no_match"


def test_hits_are_collapsed_by_brand_and_the_page_is_filled_all_the_same(ask: Any) -> None:
    brands = [hit.brand for hit in ask(image=flag(), top_k=5, collapse="brand").hits]
    assert len(brands) == 5
    assert brands.count("Acme") == 1
    twice = [hit.brand for hit in ask(image=flag(), top_k=5, collapse="brand", group_size=2).hits]
    assert twice.count("Acme") == 2


def test_variety_brings_the_other_kind_forward(ask: Any) -> None:
    plain = [hit.category for hit in ask(image=flag(), top_k=4).hits]
    mixed = [hit.category for hit in ask(image=flag(), top_k=4, diversity=0.6).hits]
    assert plain == ["flag"] * 4
    assert "sign" in mixed
    assert mixed[0] == "flag"


def test_nothing_is_shown_that_is_less_sure_than_asked(ask: Any) -> None:
    every = ask(image=flag(), top_k=12).hits
    least = sorted(hit.confidence for hit in every)[len(every) // 2]
    sure = ask(image=flag(), top_k=12, min_confidence=least).hits
    assert [hit.item_id for hit in sure] == [hit.item_id for hit in every if hit.confidence >= least]
    nothing = ask(image=flag(), min_confidence=1.0)
    assert nothing.status == "no_match", "neighbours that all agree are wrong at times"
    assert "lower `min_confidence`" in nothing.message


def test_a_result_carries_what_was_looked_for_when_asked(ask: Any) -> None:
    assert ask(image=flag()).look is None
    found = ask(item_id="i0", look=True, top_k=12)
    vector = np.frombuffer(found.look.vector, np.float32)
    again = ask(item_id="i0", look=True, top_k=12)
    assert len(vector) > 0
    assert np.array_equal(vector, np.frombuffer(again.look.vector, np.float32))
    assert float(np.sum(vector**2)) == pytest.approx(3, abs=1e-3)


def test_boosts_move_hits_up_and_leave_scores_as_they_are(ask: Any) -> None:
    before = {hit.item_id: hit.score for hit in ask(image=flag(), top_k=12, intent="colour").hits}
    boosts = {"in_stock": 0.2, "price": 0.2, "near_price": 5, "price_spread": 1, "currency": "EUR"}
    after = ask(image=flag(), top_k=12, intent="colour", boosts=boosts).hits
    assert {hit.item_id: hit.score for hit in after} == pytest.approx(before, abs=1e-5)
    assert {round(hit.boost, 6) for hit in after if hit.category == "sign"} == {0.4}
    totals = [hit.score + hit.boost for hit in after]
    assert totals == sorted(totals, reverse=True)


def test_an_explained_score_is_the_weighted_sum_of_its_parts(ask: Any) -> None:
    result = ask(image=flag(), weights={"object": 0.5, "style": 0.2, "colour": 0.3}, explain=True)
    for hit in result.hits:
        explanation = hit.explained
        assert 0.5 * explanation.object + 0.2 * explanation.style + 0.3 * explanation.colour == pytest.approx(
            hit.score, abs=1e-4
        )
    assert ask(image=flag()).hits[0].explained is None


def test_named_items_are_searched_by_and_never_found(ask: Any) -> None:
    found = ids(ask(like=["i0", "i2"], unlike=["i1"], top_k=12))
    assert not {"i0", "i1", "i2"} & set(found)
    assert len(found) == 9
    assert {hit.category for hit in ask(like=["i0", "i2"], top_k=3).hits} == {"flag"}


def test_what_is_not_to_be_resembled_falls(ask: Any) -> None:
    def best_sign(**fields: Any) -> float:
        hits = ask(image=flag(), top_k=12, **fields).hits
        return float(max(hit.score for hit in hits if hit.category == "sign"))

    assert best_sign(unlike=["i1"]) < best_sign()


def test_several_pictures_of_one_thing_make_one_query(ask: Any) -> None:
    other = InlineImage(data=portrait(98, "bkyr"))
    [alone, both] = [ask(image=flag(), more_images=more, top_k=12, explain=True).hits for more in ([], [other])]
    signs = [max(hit.score for hit in hits if hit.category == "sign") for hits in (alone, both)]
    assert signs[1] > signs[0]


def test_an_unknown_item_or_a_broken_picture_among_many_is_named(ask: Any) -> None:
    unknown = ask(like=["i0", "nobody"])
    assert (unknown.status, unknown.code) == ("rejected", Code.ITEM_UNKNOWN)
    assert "nobody" in unknown.message
    broken = ask(image=flag(), more_images=[InlineImage(data=b"GIF89a broken")])
    assert broken.status == "rejected"


def test_a_sure_category_narrows_the_search_and_is_told(ask: Any) -> None:
    plain, understood = ask(image=flag(), top_k=12), ask(image=flag(), top_k=12, understand="auto")
    assert {hit.category for hit in plain.hits} == {"flag", "sign"}
    assert {hit.category for hit in understood.hits} == {"flag"}
    assert understood.added.category == ("flag",)
    assert understood.relaxed is None
    assert plain.added is None


def test_what_was_added_is_taken_back_when_it_leaves_too_few(ask: Any) -> None:
    result = ask(image=flag(), top_k=12, understand="auto", filters={"brand": ["B1", "B3"]})
    assert set(ids(result)) == {"i1", "i3"}
    assert result.added is None
    assert result.relaxed.category == ("flag",)


def test_later_pages_are_narrowed_as_the_first_one_is(ask: Any) -> None:
    few = {"understand": "auto", "top_k": 1, "filters": {"brand": ["B1", "B3"]}}
    pages = [ask(image=flag(), offset=offset, **few) for offset in (0, 1, 2)]
    assert [len(page.hits) for page in pages] == [1, 1, 0]
    assert {page.relaxed.category for page in pages} == {("flag",)}
    narrowed = ask(image=flag(), offset=6, understand="auto")
    assert (narrowed.status, narrowed.added.category) == ("no_match", ("flag",))


def test_a_category_that_the_user_named_is_never_replaced(ask: Any) -> None:
    result = ask(image=flag(), top_k=12, understand="auto", filters={"category": ["sign"]})
    assert {hit.category for hit in result.hits} == {"sign"}
    assert result.added is None
    assert result.relaxed is None


def test_the_colours_and_the_crop_of_the_query_are_told(ask: Any) -> None:
    crop = {"x": 0, "y": 0, "w": 0.5, "h": 0.5}
    result = ask(image=flag(), crop=crop)
    assert result.palette[0].name == "red"
    assert result.crop.model_dump() == crop


def test_filters_are_joined_by_any_and_not(ask: Any) -> None:
    some = ask(image=flag(), top_k=12, any_of=[{"brand": ["B1"]}, {"brand": ["B3"]}])
    assert set(ids(some)) == {"i1", "i3"}
    rest = ask(image=flag(), top_k=12, none_of=[{"category": ["flag"]}, {"brand": ["B1"]}])
    assert set(ids(rest)) == {"i3", "i5", "i7", "i9", "i11"}


@pytest.fixture
def metric(index: Index, confidence: Calibrator) -> Metric:
    """The collection's own metric: it sees some directions of the object part alone, and half of the colours."""
    size = confidence.parts.object_size
    own = Metric(np.diag(np.arange(size) % 3 == 0).astype(np.float32), 0.5, 0.1)
    nothing, none = np.empty((0, 0, PART_COUNT), np.float32), np.empty(0, np.int8)
    calibration = Calibration(12, nothing, none, nothing, np.empty((0, 0), np.int8), none, own)
    index.put_note(calibration_note("default"), calibration.note())  # before anybody reads it
    return own


def test_hits_are_scored_under_the_metric_of_the_collection(
    metric: Metric, ask: Any, index: Index, confidence: Calibrator
) -> None:
    found = ask(image=flag(), top_k=12, look=True, explain=True)
    assert (found.weights.object, found.weights.colour) == (0.85, pytest.approx(0.075))
    query = np.frombuffer(found.look.vector, np.float32)
    looks = index.vectors([point_id("default", hit.item_id, 0) for hit in found.hits])
    rows = np.stack([looks[point_id("default", hit.item_id, 0)] for hit in found.hits])
    expected = confidence.parts.adapted_scores(query, rows, found.weights, metric)
    scores = [hit.score for hit in found.hits]
    assert scores == pytest.approx(expected.tolist(), abs=1e-5)
    assert scores == sorted(scores, reverse=True)
    adapted = metric.object_cosines(confidence.parts.object(query), confidence.parts.object(rows))
    assert [hit.explained.object_adapted for hit in found.hits] == pytest.approx(adapted.tolist(), abs=1e-5)
    assert ids(ask(image=flag(), top_k=12, min_score=scores[4])) == ids(found)[:5]
    assert ids(ask(image=flag(), top_k=4, offset=3)) == ids(found)[3:7]


def test_a_metric_of_studio_pictures_says_nothing_of_photos(index: Index, metric: Metric, ask: Any) -> None:
    name, other = calibration_note("default"), replace(metric, studio=not metric.studio)
    index.put_note(name, {**index.notes([name])[name], "metric": other.note()})
    found = ask(image=flag(), explain=True)
    assert found.weights.colour == 0.15
    assert all(hit.explained.object_adapted is None for hit in found.hits)


@pytest.mark.parametrize("fields", [
    {"metric": "default"}, {"weights": {"object": 0.85, "colour": 0.15}}, {"top_k": 12, "offset": 89},
])  # fmt: skip
def test_a_request_can_do_without_the_metric_of_the_collection(
    metric: Metric, ask: Any, fields: dict[str, Any]
) -> None:
    assert metric.transform is not None
    found = ask(image=flag(), explain=True, **fields)
    assert all(hit.explained.object_adapted is None for hit in found.hits)
    if "offset" not in fields:
        assert found.weights.colour == 0.15
        scores = [0.85 * hit.explained.object + 0.15 * hit.explained.colour for hit in found.hits]
        assert [hit.score for hit in found.hits] == pytest.approx(scores, abs=1e-4)
