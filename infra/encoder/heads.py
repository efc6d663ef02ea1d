"""Heads: linear maps of frozen features that are fitted on labels.

In a batch, pictures of one label attract each other and all others repel: the supervised contrastive loss (Khosla
et al., 2020). The map starts from axes that were fitted without labels, so that little data moves it little.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize

Floats = NDArray[np.float32]
Halves = NDArray[np.float16]
Integers = NDArray[np.int64]
Mask = NDArray[np.bool_]

LABELS = 32
"""Labels in a batch at most: the more, the fewer pictures of each are left to attract each other."""
STRENGTH = 0.047
"""Root mean square of the axes that training starts from. Rows come out at length 1, so that it changes no cosine,
but how far a step goes."""
NEVER = -1e9
"""The likeness of a picture to itself, which must not count."""


@dataclass(frozen=True)
class Recipe:
    """How a head is trained; chosen on the validation splits of two sets of photos (DECISIONS.md)."""

    epochs: int = 60
    batch: int = 256
    temperature: float = 0.1
    rate: float = 3e-3
    """Of AdamW, for axes of which a number is about STRENGTH."""
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Examples:
    """Two views of each of N pictures [N, 2, d], which are studio pictures [N], and their labels, 0.. [N].

    A studio picture, which is looked at once, has the same view twice. `means` [2, d] are those of photos and of
    studio pictures; they are taken away.
    """

    views: Halves
    studio: Mask
    labels: Integers
    means: Floats


class Epoch(NamedTuple):
    """After a pass over the pictures: its number from 1, the mean loss, and the axes [d, k]."""

    number: int
    loss: float
    axes: Floats


def train_head(examples: Examples, start: Floats, recipe: Recipe) -> Iterator[Epoch]:
    """Trains from the axes `start` [d, k], epoch by epoch; stop taking to stop training.

    The same seed gives the same axes on the same machine.
    """
    chance = np.random.default_rng(recipe.seed)
    strength = float(np.sqrt(np.mean(np.square(start))))
    axes = torch.from_numpy(start.astype(np.float32) * np.float32(STRENGTH / strength)).requires_grad_()
    steps = max(1, len(examples.labels) // recipe.batch)
    walker = torch.optim.AdamW([axes], lr=recipe.rate, weight_decay=1e-4)
    pace = torch.optim.lr_scheduler.CosineAnnealingLR(walker, steps * recipe.epochs)
    for number in range(1, recipe.epochs + 1):
        losses = []
        for _ in range(steps):
            chosen = _draw(examples.labels, recipe.batch, chance)
            rows = normalize(_mix(examples, chosen, chance) @ axes, dim=1)
            labels = torch.from_numpy(examples.labels[chosen])
            loss = supervised_contrast(rows, labels, recipe.temperature)
            walker.zero_grad()
            torch.autograd.backward(loss)
            walker.step()
            pace.step()
            losses.append(loss.item())
        yield Epoch(number, float(np.mean(losses)), axes.detach().numpy().copy())


def supervised_contrast(rows: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """The loss of unit rows [N, k] with labels [N]: equation 2 of the paper, its `out` form.

    Rows whose label no other row has only repel; 0 when no two rows share one.
    """
    itself = torch.eye(len(rows), dtype=torch.bool)
    likeness = (rows @ rows.T / temperature).masked_fill(itself, NEVER)
    log_shares = likeness - likeness.logsumexp(1, keepdim=True)
    same = (labels[:, None] == labels[None]) & ~itself
    pulls = -(log_shares * same).sum(1) / same.sum(1).clamp_min(1)
    return (pulls * same.any(1)).sum() / same.any(1).sum().clamp_min(1)


def _draw(labels: Integers, batch: int, chance: np.random.Generator) -> Integers:
    """The places of about `batch` pictures, as many of each of some labels."""
    order = chance.permutation(len(labels))
    names = chance.permutation(np.unique(labels))[:LABELS]
    each = max(2, batch // len(names))
    return np.concatenate([order[labels[order] == name][:each] for name in names])


def _mix(examples: Examples, chosen: Integers, chance: np.random.Generator) -> Tensor:
    """The two views of the chosen pictures in any proportion, less the means: each time a slightly other crop."""
    wide, middle = np.moveaxis(examples.views[chosen].astype(np.float32), 1, 0)
    share = chance.random((len(chosen), 1), np.float32)
    return torch.from_numpy(
        wide * share + middle * (1 - share) - examples.means[examples.studio[chosen].astype(int)]
    )
