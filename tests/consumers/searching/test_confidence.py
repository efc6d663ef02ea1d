"""Confidences of hits: of the category by the vote of neighbours, of the item by its distance to other hits."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.scoring.calibration_curve import CalibrationCurve
from consumers.scoring.category_vote import CategoryVote
from consumers.scoring.coverage import COVERAGE_NEIGHBOURS
from consumers.scoring.look_parts import LookParts
from consumers.scoring.metric import DEFAULT_METRIC, Metric
from consumers.searching.confidence import (
    CERTAINTY,
    ITEM_CANDIDATES,
    ITEM_TEMPERATURE,
    MIN_VOTERS,
    category_confidences,
    item_likelihoods,
    mean_score,
)
from consumers.searching.query_state import QueryState
from infra.qdrant.contract import ScoredPoint
from schemas.envelope import Event
from schemas.ranking import INTENTS
from schemas.searches import SearchRequest

CURVE = CalibrationCurve(threshold=0.3, scale=0.2, intercept=0.0, slope=2.0)
VOTE = CategoryVote({"mug": 0.75, "cup": 0.25}, voters=10)


def hit(id: str, score: float, category: str | None = None, source: str = "given") -> ScoredPoint:
    payload = {"category": category, "category_source": source} if category else {}
    return ScoredPoint(id, score, payload)


def confidences(*points: ScoredPoint, vote: CategoryVote | None = VOTE, **fields: object) -> list[float]:
    request = SearchRequest.model_validate({"request_id": "q", "item_id": "a", **fields}, strict=False)
    search = QueryState(Event(request), request, vote=vote)
    return [float(value) for value in category_confidences(search, points, CURVE, {})]


def test_a_hit_is_as_sure_as_its_category_has_of_the_vote() -> None:
    found = confidences(hit("a", 0.9, "mug"), hit("b", 0.5, "cup"), hit("c", 0.5, "spoon"), hit("d", 0.2, "mug"))
    assert found == pytest.approx([0.75 * CERTAINTY, 0.25 * CERTAINTY, 0, 0])


def test_a_hit_without_a_given_category_is_as_sure_as_others_with_its_score() -> None:
    own = confidences(hit("a", 0.5), hit("b", 0.5, "mug", "predicted"))
    assert own == pytest.approx([float(CURVE.confidence(np.array(0.5)))] * 2)


def test_a_score_among_neighbours_that_a_head_was_trained_on_is_as_sure_as_these_are_reliable() -> None:
    points = [hit("a", 0.5)]
    sure = float(CURVE.confidence(np.array(0.5)))
    for intent, expected in (("similar", 0.9 * sure), ("style", sure)):
        request = SearchRequest.model_validate({"request_id": "q", "item_id": "a", "intent": intent}, strict=False)
        search = QueryState(Event(request), request, vote=VOTE)
        assert category_confidences(search, points, CURVE, {}, 0.9) == pytest.approx([expected])


@pytest.mark.parametrize(
    ("vote", "fields"),
    [
        (None, {}),
        (CategoryVote({"mug": 1.0}, MIN_VOTERS - 1), {}),
        (VOTE, {"intent": "style"}),
        (VOTE, {"intent": "colour"}),
        (VOTE, {"weights": {"object": 1}}),
        (VOTE, {"filters": {"category": ["mug"]}}),
        (VOTE, {"none_of": [{"category": ["mug"]}]}),
    ],
)
def test_without_a_vote_that_counts_the_score_alone_decides(
    vote: CategoryVote | None, fields: dict[str, object]
) -> None:
    assert confidences(hit("a", 0.5, "mug"), vote=vote, **fields) == pytest.approx(
        [float(CURVE.confidence(np.array(0.5)))]
    )


def test_under_the_collections_metric_a_searchs_own_hits_vote() -> None:
    points = [hit("a", 0.9, "cup"), *(hit(str(number), 0.9, "mug") for number in range(3))]
    request = SearchRequest(request_id="q", item_id="a")
    search = QueryState(Event(request), request, vote=VOTE, metric=Metric(transform=np.eye(2, dtype=np.float32)))
    assert category_confidences(search, points, CURVE, {}) == pytest.approx(
        [0.25 * CERTAINTY, *[0.75 * CERTAINTY] * 3]
    )
    assert category_confidences(search, points, CURVE, {}, 0.4)[1] == pytest.approx(0.75 * 0.6 * CERTAINTY)
    request = SearchRequest(request_id="q", item_id="a", min_score=0.5)
    search = QueryState(Event(request), request, vote=VOTE, metric=Metric(transform=np.eye(2, dtype=np.float32)))
    assert category_confidences(search, points, CURVE, {})[0] == pytest.approx(VOTE.shares["cup"] * CERTAINTY)


@given(st.lists(st.floats(-1, 1.2), max_size=30))
def test_items_share_one_and_better_ones_have_more(scores: list[float]) -> None:
    ranked = [(str(number), score) for number, score in enumerate(sorted(scores, reverse=True))]
    likelihoods = item_likelihoods(ranked)
    assert list(likelihoods) == [id for id, _ in ranked[:ITEM_CANDIDATES]]
    assert list(likelihoods.values()) == sorted(likelihoods.values(), reverse=True)
    assert not likelihoods or sum(likelihoods.values()) == pytest.approx(1)


def test_a_hit_that_is_one_temperature_behind_is_1_over_e_times_as_likely() -> None:
    first, second = item_likelihoods([("a", 0.5 + ITEM_TEMPERATURE), ("b", 0.5)]).values()
    assert first / second == pytest.approx(np.e)


def test_the_mean_score_is_that_of_the_nearest_items_under_the_metric_of_the_collection() -> None:
    rng, parts = np.random.default_rng(0), LookParts(4, 2)
    looks = {
        f"p{n}": parts.normalise(rng.normal(size=9).astype(np.float32)) for n in range(COVERAGE_NEIGHBOURS + 3)
    }
    query = parts.normalise(rng.normal(size=9).astype(np.float32))
    weighted = parts.apply_weights(query, INTENTS["similar"])
    voters = sorted((hit(id, float(weighted @ look)) for id, look in looks.items()), key=lambda point: -point.score)
    nearest = voters[:COVERAGE_NEIGHBOURS]
    plain = mean_score(query, voters, {}, parts, DEFAULT_METRIC)
    assert plain == pytest.approx(np.mean([point.score for point in nearest]))
    metric = Metric(np.diag([1, 0, 0, 2]).astype(np.float32), colour_factor=0.5)
    rows = np.stack([looks[point.id] for point in nearest])
    expected = parts.adapted_scores(query, rows, metric.adapt_weights(INTENTS["similar"]), metric).mean()
    assert mean_score(query, voters, looks, parts, metric) == pytest.approx(float(expected))
    assert mean_score(query, voters, {}, parts, metric) is None, "no look was found"
    assert mean_score(query, [], looks, parts, DEFAULT_METRIC) is None
