"""The statistics of groups: covariance within them, its whitening, their means and likelihoods."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.scoring.group_statistics import (
    MAX_CATEGORIES,
    MIN_GROUPED,
    MIN_MEMBERS,
    category_means,
    softmax,
    whitening,
    within_class_covariance,
)


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


def test_the_means_of_categories_have_unit_length_and_small_categories_have_none() -> None:
    rows = np.random.default_rng(0).normal(size=(12, 4)).astype(np.float32)
    groups = ["a"] * 6 + ["b"] * 4 + ["c"] * (MIN_MEMBERS - 1)
    names, means = category_means(rows, groups)
    assert names == ("a", "b")
    assert np.allclose(np.linalg.norm(means, axis=1), 1, atol=1e-6)
    assert np.allclose(means[0], rows[:6].mean(0) / np.linalg.norm(rows[:6].mean(0)), atol=1e-6)
    assert category_means(rows, [str(n) for n in range(12)])[1].shape == (0, 4)


def test_of_very_many_categories_the_largest_have_means() -> None:
    sizes = [MIN_MEMBERS] * (MAX_CATEGORIES + 5) + [MIN_MEMBERS + 1]
    groups = [str(n) for n, size in enumerate(sizes) for _ in range(size)]
    names, means = category_means(np.ones((len(groups), 2), np.float32), groups)
    assert (len(names), len(means)) == (MAX_CATEGORIES, MAX_CATEGORIES)
    assert names[0] == str(MAX_CATEGORIES + 5)


@given(st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=20))
def test_likelihoods_sum_to_1_and_follow_the_similarities(similarities: list[float]) -> None:
    rows = np.array([similarities], np.float32)
    likelihoods = softmax(rows)[0]
    assert likelihoods.sum() == pytest.approx(1, abs=1e-5)
    assert np.all(np.diff(likelihoods[np.argsort(similarities)]) >= -1e-7)
