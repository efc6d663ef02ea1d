"""The domain of a head, and how far votes of its training pictures are trusted, on made-up rows."""

import numpy as np
import pytest

from consumers.quality.fitting.head_domain import (
    MAX_CENTROIDS,
    MIN_SIMILARITY,
    measure_domain,
    measure_reliability,
)
from consumers.quality.fitting.head_weight import HeadWeightTrial
from consumers.quality.fitting.holdout import hold_out
from consumers.quality.fitting.validation import draw_validation_set
from infra.array_types import Floats, Integers

LABELS, SIZE = 10, 30


def rows(labels: Integers, *, noise: float, seed: int = 0) -> Floats:
    """Unit rows [N, 64] around the means of their labels, or far from all of them for label -1."""
    rng = np.random.default_rng(seed)
    means = np.concatenate([rng.normal(size=(LABELS, 32)), np.zeros((LABELS, 32))], axis=1)
    values = np.where(labels[:, None] < 0, np.eye(64)[40], means[labels]) + noise * rng.normal(
        size=(len(labels), 64)
    )
    unit: Floats = (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float32)
    return unit


def test_pictures_as_held_out_ones_are_of_the_domain_and_others_are_not() -> None:
    labels = np.repeat(np.arange(LABELS), SIZE)
    base = rows(labels, noise=0.3)
    domain = measure_domain(base, labels, hold_out(labels, 0.2, seed=0))
    assert domain["centroids"].shape == (LABELS, 64)
    new, others = rows(labels, noise=0.3), rows(np.full(50, -1), noise=0.3)
    similarities = [(part @ domain["centroids"].T).max(axis=1) for part in (new, others)]
    assert np.mean(similarities[0] >= domain["similarity"]) > 0.8
    assert similarities[1].max() < domain["similarity"] / 2


def test_unrelated_pictures_are_no_domain() -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(300, 64)).astype(np.float32)
    labels = np.repeat(np.arange(100), 3)
    unit = noise / np.linalg.norm(noise, axis=1, keepdims=True)
    assert measure_domain(unit, labels, hold_out(labels, 0.2, seed=0))["similarity"][0] >= MIN_SIMILARITY


def test_of_very_many_labels_those_with_most_pictures_have_centroids() -> None:
    labels = np.repeat(np.arange(MAX_CENTROIDS + 20), [4] * MAX_CENTROIDS + [3] * 20)
    base = np.random.default_rng(0).normal(size=(len(labels), 8)).astype(np.float32)
    centroids = measure_domain(base, labels, hold_out(labels, 0.2, seed=0))["centroids"]
    assert len(centroids) == MAX_CENTROIDS
    assert np.allclose(np.linalg.norm(centroids, axis=1), 1, atol=1e-5)


def test_votes_that_agree_more_often_than_they_are_right_lose() -> None:
    labels = np.repeat(np.arange(LABELS), SIZE)
    split = hold_out(labels, 0.3, seed=0)
    queries = draw_validation_set(split.held_out, split.train, labels, seed=0)
    base = rows(labels, noise=1.0)
    honest = HeadWeightTrial(queries, base, base)
    assert measure_reliability(honest, 0.8) == pytest.approx(1, abs=1e-6)
    # The head has learned the training pictures by heart, and takes a third of the others for another label.
    rng = np.random.default_rng(1)
    guessed = labels.copy()
    wrong = split.held_out[rng.random(len(split.held_out)) < 1 / 3]
    guessed[wrong] = (labels[wrong] + 1) % LABELS
    by_heart = HeadWeightTrial(queries, base, rows(guessed, noise=0.01))
    assert 0.7 < measure_reliability(by_heart, 0.8) < 0.95
