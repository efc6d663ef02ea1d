"""Heads: the loss, and the effect of training with meaningful labels."""

from itertools import islice

import numpy as np
import pytest
import torch

from infra.array_types import Floats
from infra.encoder.heads import Examples, Recipe, supervised_contrast, train_head


def planted(seed: int = 0, pictures: int = 240, size: int = 24) -> Examples:
    """Features whose two last dimensions, the quietest, tell four labels apart; the others mean nothing."""
    rng = np.random.default_rng(seed)
    labels = np.arange(pictures) % 4
    rows = rng.normal(size=(pictures, size))
    rows[:, -2:] = 0.4 * np.array([(1, 1), (1, -1), (-1, 1), (-1, -1)])[labels] + 0.1 * rows[:, -2:]
    views = rows[:, None] + 0.02 * rng.normal(size=(pictures, 2, size))
    return Examples(
        views.astype(np.float16), np.zeros(pictures, bool), labels.astype(np.int64), np.zeros((2, size), np.float32)
    )


def agreement(examples: Examples, axes: Floats) -> float:
    """Share of pictures whose nearest other one has their label."""
    rows = examples.views.mean(1, dtype=np.float32) @ axes
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    likeness = rows @ rows.T - 2 * np.eye(len(rows))
    return float(np.mean(examples.labels[likeness.argmax(1)] == examples.labels))


def test_the_loss_is_that_of_the_paper() -> None:
    rows = torch.nn.functional.normalize(torch.tensor([[1.0, 0.2], [0.9, 0.4], [-0.3, 1.0]]), dim=1)
    likeness = torch.exp(rows @ rows.T / 0.5)
    first = -torch.log(likeness[0, 1] / (likeness[0, 1] + likeness[0, 2]))
    second = -torch.log(likeness[1, 0] / (likeness[1, 0] + likeness[1, 2]))
    loss = supervised_contrast(rows, torch.tensor([7, 7, 3]), 0.5)
    assert loss.item() == pytest.approx(((first + second) / 2).item(), abs=1e-6)


def test_pictures_that_share_no_label_teach_nothing() -> None:
    assert supervised_contrast(torch.eye(3), torch.arange(3), 0.1).item() == 0


def test_training_finds_what_is_quiet_but_meant() -> None:
    examples, start = planted(), np.eye(24, dtype=np.float32)
    *_, last = train_head(examples, start, Recipe(epochs=120, batch=120, rate=0.02))
    fresh = planted(seed=1)
    assert agreement(fresh, start) < 0.6
    assert agreement(fresh, last.axes) > 0.95


def test_the_same_seed_gives_the_same_axes() -> None:
    examples, start = planted(), np.eye(24, 8, dtype=np.float32)
    one, other, third = (
        list(train_head(examples, start, Recipe(epochs=3, seed=seed)))[-1].axes for seed in (5, 5, 6)
    )
    assert (one == other).all()
    assert (one != third).any()


def test_training_stops_when_nobody_takes_more() -> None:
    start = np.eye(24, 8, dtype=np.float32)
    scores = list(islice(train_head(planted(), start, Recipe(epochs=10**9)), 2))
    assert [epoch.number for epoch in scores] == [1, 2]
    assert (start == np.eye(24, 8)).all()
