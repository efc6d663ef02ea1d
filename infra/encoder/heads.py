"""Heads: trains linear maps of frozen features on labels.

The loss is the supervised contrastive loss (Khosla et al., 2020): in a batch, pictures with the same label attract
each other and repel all others. Training starts from axes that were fitted without labels, so that a small data set
changes them only a little.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from infra.array_types import Floats, Halves, Integers, Mask

MAX_LABELS_PER_BATCH = 32
"""Maximum number of labels in a batch: with more labels, a batch has fewer pictures of each."""
INITIAL_AXES_RMS = 0.047
"""Root mean square of the initial axes. Embeddings have unit length, so that it does not affect cosines, only the
relative size of an optimiser step."""
SELF_SIMILARITY = -1e9
"""Value that replaces the similarity of a picture to itself, to exclude it from the loss."""


@dataclass(frozen=True)
class Recipe:
    """Hyperparameters of a head, chosen on the validation splits of two sets of photos (DECISIONS.md)."""

    epochs: int = 60
    batch: int = 256
    temperature: float = 0.1
    rate: float = 3e-3
    """Learning rate of AdamW, for axes with root mean square INITIAL_AXES_RMS."""
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Examples:
    """Training data: two views of each of N pictures [N, 2, d], a mask of studio pictures [N], and labels 0.. [N].

    A studio picture has only one view, which is stored twice. `means` [2, d] are the means of photos and of studio
    pictures, which training subtracts.
    """

    views: Halves
    studio: Mask
    labels: Integers
    means: Floats


class Epoch(NamedTuple):
    """Result of an epoch: its number from 1, the mean loss, and the axes [d, k]."""

    number: int
    loss: float
    axes: Floats


def train_head(examples: Examples, initial_axes: Floats, recipe: Recipe) -> Iterator[Epoch]:
    """Train from the axes `initial_axes` [d, k] and yield each epoch; training stops when iteration stops.

    The same seed gives the same axes on the same machine.
    """
    rng = np.random.default_rng(recipe.seed)
    rms = float(np.sqrt(np.mean(np.square(initial_axes))))
    axes = torch.from_numpy(initial_axes.astype(np.float32) * np.float32(INITIAL_AXES_RMS / rms)).requires_grad_()
    steps = max(1, len(examples.labels) // recipe.batch)
    optimiser = torch.optim.AdamW([axes], lr=recipe.rate, weight_decay=1e-4)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps * recipe.epochs)
    for number in range(1, recipe.epochs + 1):
        losses = []
        for _ in range(steps):
            indices = _sample_batch(examples.labels, recipe.batch, rng)
            embeddings = normalize(_interpolate_views(examples, indices, rng) @ axes, dim=1)
            labels = torch.from_numpy(examples.labels[indices])
            loss = supervised_contrast(embeddings, labels, recipe.temperature)
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            optimiser.step()
            scheduler.step()
            losses.append(loss.item())
        yield Epoch(number, float(np.mean(losses)), axes.detach().numpy().copy())


def supervised_contrast(embeddings: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """Supervised contrastive loss of unit embeddings [N, k] with labels [N]: equation 2 of the paper (`out` form).

    An embedding with a unique label is only a negative for the others. The loss is 0 when all labels are unique.
    """
    self_mask = torch.eye(len(embeddings), dtype=torch.bool)
    similarities = (embeddings @ embeddings.T / temperature).masked_fill(self_mask, SELF_SIMILARITY)
    log_probabilities = similarities - similarities.logsumexp(1, keepdim=True)
    positives = (labels[:, None] == labels[None]) & ~self_mask
    losses = -(log_probabilities * positives).sum(1) / positives.sum(1).clamp_min(1)
    return (losses * positives.any(1)).sum() / positives.any(1).sum().clamp_min(1)


def _sample_batch(labels: Integers, batch: int, rng: np.random.Generator) -> Integers:
    """Indices of about `batch` pictures, of at most 32 labels with an equal number of pictures each."""
    order = rng.permutation(len(labels))
    batch_labels = rng.permutation(np.unique(labels))[:MAX_LABELS_PER_BATCH]
    per_label = max(2, batch // len(batch_labels))
    return np.concatenate([order[labels[order] == label][:per_label] for label in batch_labels])


def _interpolate_views(examples: Examples, indices: Integers, rng: np.random.Generator) -> Tensor:
    """Interpolate the two views of each picture at random and subtract the means: in effect, a random crop."""
    whole_views, centre_views = np.moveaxis(examples.views[indices].astype(np.float32), 1, 0)
    weights = rng.random((len(indices), 1), np.float32)
    return torch.from_numpy(
        whole_views * weights + centre_views * (1 - weights) - examples.means[examples.studio[indices].astype(int)]
    )
