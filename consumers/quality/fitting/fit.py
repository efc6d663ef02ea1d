"""From pictures to an encoder's tensors: a base without labels; with labels a head beside it, and its share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from consumers.quality.evaluation.system_under_test import TrackProgress
from consumers.quality.fitting.feature_store import FeatureMatrix
from consumers.quality.fitting.head_weight import CHOSEN_BY, HeadWeightTrial, WeightCurve, choose_share
from consumers.quality.fitting.holdout import FEWEST_TO_HOLD, hold_back, hold_back_labels
from consumers.quality.fitting.trainer import EpochScore, HeadTrainer
from consumers.quality.fitting.validation import Integers, draw_validation_set, means
from consumers.quality.fitting.whitening_base import (
    Floats,
    Tensors,
    WhiteningBase,
    choose_base,
    make_bases,
    object_rows,
)
from infra.console import BadInput, printable
from infra.encoder.heads import Recipe
from infra.encoder.runtime import Backbone

MeasureMeans = dict[str, float]
"""The mean of each measure."""


@dataclass(frozen=True, eq=False)
class FitSetup:
    """What fitting takes beside the pictures: the backbone, the tensors that it ships with, and how to go about it.

    `validation` is the share of each label's pictures that is held back to choose by.
    """

    backbone: Backbone
    shipped: Mapping[str, Floats]
    recipe: Recipe
    validation: float
    track: TrackProgress


@dataclass(frozen=True)
class FitComparison:
    """The measures of some queries under the base, under the head alone, and under both at the chosen share."""

    queries: int
    base: MeasureMeans
    head: MeasureMeans
    mix: MeasureMeans
    shares: dict[str, MeasureMeans]
    """The measures at every share that was tried."""


@dataclass(frozen=True)
class HeadReport:
    """How a head came about, and what it does for labels that it saw and for labels that it never saw."""

    labels: int
    lessons: list[EpochScore]
    best_epoch: int
    share: float
    seen: FitComparison
    unseen_labels: int
    unseen: FitComparison | None


@dataclass(frozen=True, eq=False)
class FitResult:
    """The tensors, where the base comes from, how each base did, and the story of the head."""

    tensors: Tensors
    base: str
    bases: dict[str, MeasureMeans]
    head: HeadReport | None


def fit_base(gallery: FeatureMatrix, kit: FitSetup) -> FitResult:
    """Without labels there is nothing to choose by: axes of these pictures, where they are enough for that."""
    base = make_bases(gallery, kit.backbone, kit.shipped)[-1]
    return FitResult(base.tensors, base.origin, {}, None)


def number_labels(names: Sequence[str]) -> Integers:
    """Labels as numbers from 0, [N]; raises BadInput when they have nothing to teach."""
    found, labels, counts = np.unique(np.array(names), return_inverse=True, return_counts=True)
    if len(found) < 2:
        raise BadInput(
            f"all {len(names)} pictures that can be read are labelled {printable(str(found[0]))}: "
            "a head learns from what differs, give two labels at least"
        )
    if (counts >= FEWEST_TO_HOLD).sum() < 2:
        raise BadInput(
            f"of {len(found)} labels, {(counts >= FEWEST_TO_HOLD).sum()} have {FEWEST_TO_HOLD} pictures or more: "
            "give two such labels at least"
        )
    return labels.astype(np.int64)


def fit_head(gallery: FeatureMatrix, names: Sequence[str], kit: FitSetup) -> FitResult:
    """The better base, and beside it a head trained on all pictures; raises BadInput, see number_labels.

    Base and number of epochs are chosen on pictures held back from a first training; the share: see choose_share.
    """
    labels, seed = number_labels(names), kit.recipe.seed
    split = hold_back(labels, kit.validation, seed)
    quiz = draw_validation_set(split.held, split.train, labels, seed)
    base, scores = choose_base(make_bases(gallery, kit.backbone, kit.shipped), gallery, quiz)
    school = HeadTrainer(gallery, labels, base, kit.recipe, kit.track)
    lessons, best = school.try_out(split.train, quiz)
    seen = HeadWeightTrial(quiz, object_rows(gallery, base.tensors), school.rows(best.axes))
    story = _story(lessons, best.number, seen, _try_unseen(school, best.number))
    axes = school.teach(np.arange(len(labels)), best.number, "training the head on all pictures")
    bases = {origin: means(one) for origin, one in scores.items()}
    return FitResult(_beside(base, axes, story.share), base.origin, bases, story)


def _try_unseen(school: HeadTrainer, epochs: int) -> HeadWeightTrial | None:
    """A head that is trained without some labels, and those looked for among all pictures."""
    split = hold_back_labels(school.labels, school.recipe.seed)
    if split is None:
        return None
    axes = school.teach(split.train, epochs, "trying labels that the head never saw")
    quiz = draw_validation_set(split.held, np.arange(len(school.labels)), school.labels, school.recipe.seed)
    return HeadWeightTrial(quiz, object_rows(school.gallery, school.base.tensors), school.rows(axes))


def _story(
    lessons: list[EpochScore], epochs: int, seen: HeadWeightTrial, unseen: HeadWeightTrial | None
) -> HeadReport:
    labels = len(np.unique(seen.quiz.labels))
    held = len(np.unique(unseen.quiz.labels[unseen.quiz.asking])) if unseen else 0
    curve, other = seen.curve(), unseen.curve() if unseen else None
    share = choose_share(curve, other)
    return HeadReport(
        labels, lessons, epochs, share, _verdict(curve, share), held, _verdict(other, share) if other else None
    )


def _beside(base: WhiteningBase, axes: Floats, share: float) -> Tensors:
    """A head beside the base; nothing beside it at share 0."""
    if share == 0:
        return base.tensors
    head = {"means": base.tensors["object.means"], "axes": axes, "share": np.array([share], np.float32)}
    return base.tensors | {f"head.{name}": value for name, value in head.items()}


def _verdict(curve: WeightCurve, share: float) -> FitComparison:
    shares = {str(at): means(scores) for at, scores in curve.items()}
    queries = len(curve[share][CHOSEN_BY])
    return FitComparison(queries, shares["0.0"], shares["1.0"], shares[str(share)], shares)
