"""The metric of a collection: what it suppresses, and what becomes of it in a note."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.scoring.metric import (
    DEFAULT_METRIC,
    MIN_GROUPED,
    Metric,
    MetricCheck,
    normalise_rows,
    parse_metric,
    whitening,
    within_class_covariance,
)
from schemas.ranking import INTENTS


def grouped(rng: np.random.Generator, groups: int = 20, size: int = 6) -> tuple[np.ndarray, list[str]]:
    """Points whose groups differ in four dimensions, and that differ within their groups in one other."""
    means = np.repeat(rng.normal(size=(groups, 4)), size, axis=0)
    nuisance = rng.normal(size=(groups * size, 1)) * 3
    points = normalise_rows(np.concatenate([means + rng.normal(size=means.shape) * 0.2, nuisance], axis=1))
    return points, [f"g{n // size}" for n in range(groups * size)]


def test_the_covariance_is_that_around_the_means_of_the_groups() -> None:
    rng = np.random.default_rng(0)
    parts = rng.normal(size=(60, 3)).astype(np.float32)
    one = within_class_covariance(parts, ["a"] * 60)
    assert one is not None
    assert np.allclose(one, np.cov(parts.T), atol=1e-5)
    moved = parts + np.repeat([[0, 0, 0], [9, 9, 9]], 30, axis=0)
    two = within_class_covariance(moved.astype(np.float32), ["a"] * 30 + ["b"] * 30)
    assert two is not None
    assert np.allclose(two, (np.cov(parts[:30].T) + np.cov(parts[30:].T)) / 2, atol=1e-4)


def test_groups_of_one_do_not_count() -> None:
    parts = np.random.default_rng(0).normal(size=(MIN_GROUPED + 5, 3)).astype(np.float32)
    names = ["a"] * MIN_GROUPED + [f"alone {n}" for n in range(5)]
    alone, without = within_class_covariance(parts, names), within_class_covariance(parts[:-5], names[:-5])
    assert alone is not None
    assert without is not None
    assert np.allclose(alone, without)
    assert within_class_covariance(parts, [str(n) for n in range(len(parts))]) is None


@settings(deadline=None)
@given(st.integers(2, 8), st.floats(0.01, 1), st.integers(0, 99))
def test_a_whitening_undoes_the_covariance_as_far_as_it_is_not_shrunk(
    size: int, shrinkage: float, seed: int
) -> None:
    rows = np.random.default_rng(seed).normal(size=(50, size))
    covariance = np.cov(rows.T)
    transform = whitening(covariance, shrinkage).astype(np.float64)
    shrunk = (1 - shrinkage) * covariance + shrinkage * np.trace(covariance) / size * np.eye(size)
    white = transform @ shrunk @ transform
    assert np.allclose(white, white[0, 0] * np.eye(size), atol=1e-3 * white[0, 0])
    assert np.allclose(transform, transform.T, atol=1e-5)
    assert np.trace(transform) == pytest.approx(size, rel=1e-4)


def test_directions_in_which_groups_differ_within_themselves_lose_their_weight() -> None:
    points, names = grouped(np.random.default_rng(1))
    covariance = within_class_covariance(points, names)
    assert covariance is not None
    metric = Metric(whitening(covariance, 0.1))
    same, other = metric.object_cosines(points[0], points[1:6]).mean(), metric.object_cosines(points[0], points[6:])
    plain_same, plain_other = (points[1:6] @ points[0]).mean(), points[6:] @ points[0]
    assert (same > other).mean() > (plain_same > plain_other).mean()


def test_the_default_metric_is_the_cosine_of_the_looks() -> None:
    points, _ = grouped(np.random.default_rng(2))
    assert np.allclose(DEFAULT_METRIC.object_cosines(points[0], points), points @ points[0])
    assert DEFAULT_METRIC.adapt_weights(INTENTS["exact"]) == INTENTS["exact"]


def test_a_part_of_zeros_is_like_nothing() -> None:
    metric = Metric(np.eye(3, dtype=np.float32))
    assert metric.object_cosines(np.zeros(3, np.float32), np.eye(3, dtype=np.float32)).tolist() == [0, 0, 0]


@pytest.mark.parametrize(("factor", "colour"), [(0.0, 0.0), (2.0, 0.3), (10.0, 1.0)])
def test_the_colour_weight_of_an_intent_is_that_of_the_collection(factor: float, colour: float) -> None:
    weights = Metric(colour_factor=factor).adapt_weights(INTENTS["similar"])
    assert (weights.object, weights.colour) == (INTENTS["similar"].object, pytest.approx(colour))


def test_a_metric_survives_its_note() -> None:
    check = MetricCheck(points=300, groups=12, default=0.5, own=0.75, margin=0.1)
    metric = Metric(np.arange(9, dtype=np.float32).reshape(3, 3), 0.5, 0.1, check=check)
    again = parse_metric(json.loads(json.dumps(metric.note())))
    assert again.transform is not None
    assert np.array_equal(again.transform, np.arange(9).reshape(3, 3))
    assert (again.colour_factor, again.shrinkage, again.check) == (0.5, 0.1, check)
    assert is_default(parse_metric(json.loads(json.dumps(DEFAULT_METRIC.note()))))


def is_default(metric: Metric) -> bool:
    """Whether it compares looks as they are."""
    return (metric.transform, metric.colour_factor, metric.shrinkage) == (None, 1.0, 0.0)


@pytest.mark.parametrize("note", [{}, {"transform": None}, {"colour_factor": "x"}])
def test_a_note_without_a_metric_is_the_default(note: dict[str, object]) -> None:
    assert is_default(parse_metric(note))
