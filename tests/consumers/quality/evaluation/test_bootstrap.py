"""Intervals: they hold the truth as often as they say, and a pair tells more than two."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.quality.evaluation.bootstrap import differences, estimate, estimates


def test_nineteen_of_twenty_intervals_hold_the_truth() -> None:
    chance = np.random.default_rng(1)
    found = [estimate(chance.random(150) < 0.3, seed) for seed in range(200)]
    covered = sum(one.low <= 0.3 <= one.high for one in found)
    assert 180 <= covered <= 199


@given(st.lists(st.floats(0, 1), min_size=1, max_size=50), st.integers(0, 1000))
def test_the_interval_holds_the_mean_and_stays_within_the_values(values: list[float], seed: int) -> None:
    found = estimate(np.array(values), seed)
    assert min(values) - 1e-9 <= found.low <= found.high <= max(values) + 1e-9
    assert found.value == pytest.approx(np.mean(values))


def test_the_same_seed_gives_the_same_interval() -> None:
    values = np.random.default_rng(0).random(40)
    assert estimate(values, 3) == estimate(values, 3)
    assert estimate(values, 3) != estimate(values, 4)


def test_a_pair_tells_what_two_intervals_do_not() -> None:
    hard = np.random.default_rng(0).random(200)
    better = {"m": hard + 0.02}
    gain = differences(better, {"m": hard}, 0)["m"]
    assert gain.low > 0
    mine, other = estimates(better, 0)["m"], estimates({"m": hard}, 0)["m"]
    assert mine.low < other.high


def test_no_queries_have_no_interval() -> None:
    with pytest.raises(ValueError, match="no queries"):
        estimate(np.empty(0), 0)
