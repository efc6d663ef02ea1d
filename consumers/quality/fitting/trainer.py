"""Where heads are trained on some of the pictures: until the ones held back gain no more, or for so many epochs."""

from collections.abc import Iterable
from dataclasses import dataclass

from consumers.quality.evaluation.system_under_test import TrackProgress
from consumers.quality.fitting.feature_store import FeatureMatrix
from consumers.quality.fitting.validation import Integers, ValidationSet
from consumers.quality.fitting.whitening_base import Floats, WhiteningBase, project
from infra.encoder.heads import Epoch, Examples, Recipe, train_head
from infra.encoder.whitening import OBJECT_SIZE, whiten_axes

PATIENCE = 15
"""Epochs without a better score of the pictures held back, after which training stops."""
SCORE = "mAP@10"


@dataclass(frozen=True)
class EpochScore:
    """One epoch: its mean loss, and the mAP@10 of the head alone on the pictures held back."""

    loss: float
    score: float


@dataclass(frozen=True, eq=False)
class HeadTrainer:
    """The pictures with their labels, the base that a head starts from, and how it is trained."""

    gallery: FeatureMatrix
    labels: Integers
    base: WhiteningBase
    recipe: Recipe
    track: TrackProgress

    def rows(self, axes: Floats) -> Floats:
        """All pictures under a head's axes, unit rows [N, k]."""
        means = self.base.tensors["object.means"]
        return project(self.gallery.features[:, : len(axes)], self.gallery.studio, means, axes)

    def try_out(self, train: Integers, quiz: ValidationSet) -> tuple[list[EpochScore], Epoch]:
        """Train until the quiz goes no better; all lessons, and the best epoch."""
        lessons: list[EpochScore] = []
        best: Epoch | None = None
        for epoch in self._epochs(train, "trying a head"):
            lessons.append(EpochScore(epoch.loss, float(quiz.judge(self.rows(epoch.axes))[SCORE].mean())))
            scores = [lesson.score for lesson in lessons]
            if best is None or scores[-1] > max(scores[:-1]):
                best = epoch
            if epoch.number - best.number >= PATIENCE:
                break
        if best is None:
            raise ValueError("a recipe has one epoch at least")
        return lessons, best

    def teach(self, train: Integers, epochs: int, what: str) -> Floats:
        """Train for so many epochs of the recipe's course; the axes [d, k]."""
        return next(epoch.axes for epoch in self._epochs(train, what) if epoch.number == epochs)

    def _epochs(self, train: Integers, what: str) -> Iterable[Epoch]:
        things, means = len(self.base.tensors["object.axes"]), self.base.tensors["object.means"]
        views = self.gallery.views[train, :, :things]
        examples = Examples(views, self.gallery.studio[train], self.labels[train], means)
        return self.track(train_head(examples, self._start(), self.recipe), what, self.recipe.epochs)

    def _start(self) -> Floats:
        """The base's axes; where it has none but its features, the strongest directions of these pictures."""
        axes = self.base.tensors["object.axes"]
        if axes.shape[1] <= OBJECT_SIZE:
            return axes
        things = self.gallery.features[:, : len(axes)]
        return whiten_axes(things - self.base.tensors["object.means"][self.gallery.studio.astype(int)], OBJECT_SIZE)
