"""Boosts are bounded, variety follows its formula, and blended looks are between their sources."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.scoring.look_parts import LookParts
from consumers.searching.query_vectors import blend
from consumers.searching.reranking import BoostTerms, compute_boosts, mmr, rank_by_boosted_score
from infra.qdrant.contract import ScoredPoint
from schemas.items import revision_at
from schemas.ranking import Boosts

NOW = datetime(2026, 5, 1, tzinfo=UTC)
EVERYTHING = Boosts(
    recency=0.2, half_life_days=10, in_stock=0.1, price=0.2, near_price=20, price_spread=5, currency="EUR"
)
PARTS = LookParts(4, 2)


def created(days: float) -> int:
    return revision_at(NOW - timedelta(days=days))


def test_a_boost_is_halved_at_its_half_life_and_its_spread() -> None:
    full = compute_boosts(
        {"created_at": created(0), "in_stock": "true", "price": 20.0, "currency": "EUR"}, EVERYTHING, NOW
    )
    assert full == BoostTerms(0.2, 0.1, 0.2)
    half = compute_boosts(
        {"created_at": created(10), "in_stock": "false", "price": 25.0, "currency": "EUR"}, EVERYTHING, NOW
    )
    assert half == BoostTerms(0.1, 0.0, 0.1)


def test_what_is_not_known_adds_nothing() -> None:
    assert compute_boosts({}, EVERYTHING, NOW) == BoostTerms()
    assert compute_boosts({"price": 20.0, "currency": "USD"}, EVERYTHING, NOW) == BoostTerms()
    assert (
        compute_boosts({"price": 20.0, "in_stock": "true", "created_at": created(0)}, Boosts(), NOW) == BoostTerms()
    )


@given(days=st.floats(-1e4, 1e4), price=st.floats(0, 1e9), stock=st.sampled_from(["true", "false", None]))
def test_no_term_is_negative_or_above_its_weight(days: float, price: float, stock: str | None) -> None:
    payload = {"created_at": created(days), "price": price, "currency": "EUR", "in_stock": stock}
    terms = compute_boosts(payload, EVERYTHING, NOW)
    assert 0 <= terms.recency <= 0.2
    assert 0 <= terms.in_stock <= 0.1
    assert 0 <= terms.price <= 0.2
    assert terms.total <= EVERYTHING.most + 1e-9


def test_boosts_change_the_order_and_not_the_scores() -> None:
    found = [ScoredPoint("a", 0.9, {}), ScoredPoint("b", 0.85, {}), ScoredPoint("c", 0.5, {})]
    terms = {"a": BoostTerms(), "b": BoostTerms(recency=0.1), "c": BoostTerms(in_stock=0.1)}
    assert rank_by_boosted_score(found, terms) == [found[1], found[0], found[2]]


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=20), st.integers(1, 25))
def test_without_diversity_the_best_come_first(totals: list[float], count: int) -> None:
    likeness = np.eye(len(totals), dtype=np.float32)
    chosen = mmr(totals, likeness, 0, count)
    assert chosen == sorted(range(len(totals)), key=lambda at: (-totals[at], at))[:count]


def test_with_diversity_a_second_one_of_a_kind_comes_after_another_kind() -> None:
    kinds = np.array([[1.0, 0.99, 0.1], [0.99, 1.0, 0.1], [0.1, 0.1, 1.0]], np.float32)
    assert mmr([0.9, 0.89, 0.6], kinds, 0, 3) == [0, 1, 2]
    assert mmr([0.9, 0.89, 0.6], kinds, 0.5, 3) == [0, 2, 1]


def test_a_blend_lies_towards_what_is_liked_and_away_from_what_is_not() -> None:
    rng = np.random.default_rng(1)
    query, liked, disliked = (PARTS.normalise(rng.standard_normal(8).astype(np.float32)) for _ in range(3))
    plain, mixed = blend(PARTS, [query]), blend(PARTS, [query], [liked], [disliked])
    assert plain == pytest.approx(query, abs=1e-6)
    assert mixed @ liked > plain @ liked
    assert blend(PARTS, [query], (), [disliked]) @ disliked < plain @ disliked
    for part in np.split(mixed, [4, 6]):
        assert np.linalg.norm(part) == pytest.approx(1, abs=1e-5)


def test_items_to_resemble_are_the_query_when_there_is_none() -> None:
    looks = [PARTS.normalise(np.eye(8, dtype=np.float32)[at] + 0.5) for at in (0, 1)]
    assert blend(PARTS, [], looks) == pytest.approx(blend(PARTS, looks), abs=1e-6)
    with pytest.raises(ValueError, match="nothing to blend"):
        blend(PARTS, [])
