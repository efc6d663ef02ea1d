"""Trainer: trains heads on a subset of the pictures, with early stopping or for a given number of epochs."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from consumers.quality.evaluation.system_under_test import TrackProgress
from consumers.quality.fitting.feature_store import FeatureMatrix
from consumers.quality.fitting.validation import ValidationSet
from consumers.quality.fitting.whitening_base import WhiteningBase, fit_means, project
from infra.array_types import Floats, Integers
from infra.encoder.heads import Epoch, Examples, Recipe, train_head
from infra.encoder.whitening import OBJECT_SIZE, whiten_axes

PATIENCE = 15
"""Epochs without a better score on the validation set, after which training stops."""
SCORE = "mAP@10"


@dataclass(frozen=True)
class EpochScore:
    """One epoch: its mean loss, and the mAP@10 of the head alone on the validation set."""

    loss: float
    score: float


@dataclass(frozen=True, eq=False)
class HeadTrainer:
    """Trains heads for one set of labelled pictures; each head starts from the axes of `base`.

    A head subtracts the means of these pictures, whatever the means of the base.
    """

    gallery: FeatureMatrix
    labels: Integers
    base: WhiteningBase
    recipe: Recipe
    track: TrackProgress

    @cached_property
    def means(self) -> Floats:
        """The means of photos and of studio pictures that heads subtract, [2, d]."""
        return fit_means(self.gallery, self.base.tensors)["object.means"]

    def project(self, axes: Floats) -> Floats:
        """All pictures projected by a head's axes, unit rows [N, k]."""
        return project(self.gallery.features[:, : len(axes)], self.gallery.studio, self.means, axes)

    def train_until_best(
        self, train_rows: Integers, validation_set: ValidationSet
    ) -> tuple[list[EpochScore], Epoch]:
        """Train with early stopping; return the scores of all epochs, and the best epoch.

        Raises ValueError when the recipe has no epoch.
        """
        history: list[EpochScore] = []
        best: Epoch | None = None
        for epoch in self._epochs(train_rows, "trying a head"):
            score = float(validation_set.score(self.project(epoch.axes))[SCORE].mean())
            history.append(EpochScore(epoch.loss, score))
            scores = [past.score for past in history]
            if best is None or scores[-1] > max(scores[:-1]):
                best = epoch
            if epoch.number - best.number >= PATIENCE:
                break
        if best is None:
            raise ValueError("a recipe has one epoch at least")
        return history, best

    def train(self, train_rows: Integers, epochs: int, description: str) -> Floats:
        """Train for `epochs` epochs of the recipe's learning-rate schedule; return the axes [d, k]."""
        return next(epoch.axes for epoch in self._epochs(train_rows, description) if epoch.number == epochs)

    def _epochs(self, train_rows: Integers, description: str) -> Iterable[Epoch]:
        object_size = len(self.base.tensors["object.axes"])
        views = self.gallery.views[train_rows, :, :object_size]
        examples = Examples(views, self.gallery.studio[train_rows], self.labels[train_rows], self.means)
        return self.track(train_head(examples, self._initial_axes(), self.recipe), description, self.recipe.epochs)

    def _initial_axes(self) -> Floats:
        """The base's axes; if it has only its features as axes, the whitened PCA axes of these pictures."""
        axes = self.base.tensors["object.axes"]
        if axes.shape[1] <= OBJECT_SIZE:
            return axes
        objects = self.gallery.features[:, : len(axes)]
        return whiten_axes(objects - self.means[self.gallery.studio.astype(int)], OBJECT_SIZE)
