"""Reliability tables: by hand, and intervals of calibration errors that hold the truth."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.quality.evaluation.reliability import Claims, Reliability, reliability


def compare(stated: list[float], correct: list[bool], queries: list[int] | None = None) -> Reliability:
    numbers = range(len(stated)) if queries is None else queries
    return reliability(Claims(np.array(stated), np.array(correct, bool), np.array(list(numbers), np.int64)), 0)


def drawn(seed: int, count: int, error: float) -> Reliability:
    """Claims from .3 to .9, each of a query of its own, which come true less often than stated by `error`."""
    chance = np.random.default_rng(seed)
    stated = chance.uniform(0.3, 0.9, count)
    return reliability(Claims(stated, chance.random(count) < stated - error, np.arange(count)), seed)


def test_reliability_by_hand() -> None:
    found = compare([0.05, 0.95, 0.95, 1.0], [False, True, False, True])
    assert [(one.count, one.accuracy.value) for one in found.bins] == [(1, 0), (3, pytest.approx(2 / 3))]
    assert found.bins[1].confidence == pytest.approx(2.9 / 3)
    assert found.ece.value == pytest.approx((0.05 + 3 * abs(2.9 / 3 - 2 / 3)) / 4)
    assert found.brier.value == pytest.approx((0.05**2 + 0.05**2 + 0.95**2) / 4)


@given(st.lists(st.booleans(), min_size=1))
def test_claims_that_are_certain_and_correct_have_no_error(correct: list[bool]) -> None:
    found = compare([float(one) for one in correct], correct)
    assert (found.ece.value, found.ece.high, found.brier.value) == (0, 0, 0)


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=40), st.integers(1, 5))
def test_every_interval_holds_its_value_and_stays_within_bounds(
    pairs: list[tuple[float, bool]], per_query: int
) -> None:
    stated, correct = map(list, zip(*pairs, strict=True))
    found = compare(stated, correct, [n // per_query for n in range(len(pairs))])
    assert 0 <= found.ece.low <= found.ece.value <= found.ece.high
    for one in found.bins:
        assert 0 <= one.accuracy.low <= one.accuracy.high <= 1
    assert sum(one.count for one in found.bins) == found.count == len(pairs)


def test_the_interval_of_a_perfect_confidence_begins_near_zero_though_chance_makes_its_error_large() -> None:
    found = [drawn(seed, 300, 0.0).ece for seed in range(40)]
    assert np.mean([one.value for one in found]) > 0.03
    assert sum(one.low <= 0.01 for one in found) >= 36


def test_the_interval_of_a_confidence_that_is_off_holds_by_how_much() -> None:
    found = [drawn(seed, 300, 0.15).ece for seed in range(40)]
    assert sum(one.low <= 0.15 <= one.high for one in found) >= 34
    assert sum(one.low > 0.05 for one in found) >= 38


def test_hits_of_one_query_are_drawn_together() -> None:
    correct = [n % 4 == 0 for n in range(60)]
    apart = compare([0.5] * 600, [one for one in correct for _ in range(10)])
    together = compare([0.5] * 600, [one for one in correct for _ in range(10)], [n // 10 for n in range(600)])
    assert apart.ece.value == together.ece.value
    assert together.ece.high - together.ece.low > 2 * (apart.ece.high - apart.ece.low)


def test_claims_above_a_threshold_are_counted_from_above() -> None:
    found = compare([0.15, 0.55, 0.56, 0.95], [False, True, False, True]).threshold_cuts()
    assert [(one.threshold, one.left, one.right) for one in found] == [
        (0.1, 1.0, 0.5), (0.5, 0.75, pytest.approx(2 / 3)), (0.9, 0.25, 1.0)
    ]  # fmt: skip


def test_no_claims_have_no_reliability() -> None:
    with pytest.raises(ValueError, match="nothing was claimed"):
        compare([], [])
