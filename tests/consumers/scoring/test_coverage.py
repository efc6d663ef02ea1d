"""Coverage: how likely a collection has things of the query's kind."""

import numpy as np
import pytest

from consumers.scoring.coverage import MIN_LABELLED, fit_coverage
from infra.array_types import Floats


def scores(mean: float, count: int = 200, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).normal(mean, 0.05, count).astype(np.float32)


def test_scores_as_of_things_that_are_there_are_covered_and_lower_ones_are_not() -> None:
    curve = fit_coverage(scores(0.7), scores(0.5, seed=1))
    assert curve is not None
    assert curve.estimate(0.75) > 0.9
    assert curve.estimate(0.45) < 0.1
    assert curve.estimate(0.6) == pytest.approx(0.5, abs=0.1)


def test_coverage_rises_with_the_score_and_stays_a_likelihood() -> None:
    curve = fit_coverage(scores(0.7), scores(0.5, seed=1))
    assert curve is not None
    estimates = [curve.estimate(score) for score in np.linspace(-1, 1.1, 50)]
    assert estimates == sorted(estimates)
    assert all(0 <= estimate <= 1 for estimate in estimates)


def test_kinds_that_look_alike_are_neither_covered_nor_not() -> None:
    curve = fit_coverage(scores(0.6), scores(0.6, seed=1))
    assert curve is not None
    assert 0.2 < curve.estimate(0.6) < 0.8


def test_too_few_pictures_give_no_measure() -> None:
    assert fit_coverage(scores(0.7, MIN_LABELLED - 1), scores(0.5)) is None
    assert fit_coverage(scores(0.7), scores(0.5, MIN_LABELLED - 1)) is None
