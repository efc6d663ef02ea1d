"""Fit: computes an encoder's tensors; without labels a base, with labels also a head, its share and its domain."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from consumers.quality.evaluation.system_under_test import TrackProgress
from consumers.quality.fitting.confusions import Confusion, find_confusions
from consumers.quality.fitting.feature_store import FeatureMatrix
from consumers.quality.fitting.head_domain import measure_domain, measure_reliability
from consumers.quality.fitting.head_weight import CHOSEN_BY, HeadWeightTrial, WeightCurve, choose_share, mix
from consumers.quality.fitting.holdout import FEWEST_TO_HOLD, hold_out, hold_out_labels
from consumers.quality.fitting.trainer import EpochScore, HeadTrainer
from consumers.quality.fitting.validation import draw_validation_set, mean_scores
from consumers.quality.fitting.whitening_base import (
    Tensors,
    choose_base,
    make_bases,
    make_head_bases,
    project_objects,
)
from infra.array_types import Floats, Integers
from infra.config.errors import BadInput
from infra.console import printable
from infra.encoder.backbone import Backbone
from infra.encoder.heads import Recipe

MeasureMeans = dict[str, float]
"""The mean of each measure."""


@dataclass(frozen=True, eq=False)
class FitSetup:
    """The backbone, the projection tensors that it ships with, the training recipe, and how progress is shown.

    `validation` is the share of each label's pictures that is held out for model selection.
    """

    backbone: Backbone
    shipped: Mapping[str, Floats]
    recipe: Recipe
    validation: float
    track: TrackProgress


@dataclass(frozen=True)
class FitComparison:
    """The measures of some queries: with the base, with the head alone, and with both at the chosen share."""

    queries: int
    base: MeasureMeans
    head: MeasureMeans
    mix: MeasureMeans
    shares: dict[str, MeasureMeans]
    """The measures at every share that was tried."""


@dataclass(frozen=True)
class HeadReport:
    """The training history of a head, and its effect on labels that it was (`seen`) and was not trained on."""

    labels: int
    lessons: list[EpochScore]
    best_epoch: int
    share: float
    reliability: float
    """What is left of the neighbours' vote, see head_domain.measure_reliability."""
    seen: FitComparison
    unseen_labels: int
    unseen: FitComparison | None


@dataclass(frozen=True, eq=False)
class FitResult:
    """The tensors, the origin of the base, the mean scores of every candidate base, and the report of the head.

    `confusions` are of held-out pictures, with the head at its share; they hold row numbers of the gallery.
    """

    tensors: Tensors
    base: str
    bases: dict[str, MeasureMeans]
    head: HeadReport | None
    confusions: Sequence[Confusion] = ()


def fit_base(gallery: FeatureMatrix, setup: FitSetup) -> FitResult:
    """Fit without labels: axes of these pictures if there are enough of them; no scores exist to choose by."""
    base = make_bases(gallery, setup.backbone, setup.shipped)[-1]
    return FitResult(base.tensors, base.origin, {}, None)


def number_labels(names: Sequence[str]) -> Integers:
    """Labels as numbers from 0, [N]; raises BadInput when fewer than two labels have enough pictures."""
    unique, labels, counts = np.unique(np.array(names), return_inverse=True, return_counts=True)
    if len(unique) < 2:
        raise BadInput(
            f"all {len(names)} pictures that can be read are labelled {printable(str(unique[0]))}: "
            "a head learns from what differs, give two labels at least"
        )
    if (counts >= FEWEST_TO_HOLD).sum() < 2:
        raise BadInput(
            f"of {len(unique)} labels, {(counts >= FEWEST_TO_HOLD).sum()} have {FEWEST_TO_HOLD} pictures or more: "
            "give two such labels at least"
        )
    return labels.astype(np.int64)


def fit_head(gallery: FeatureMatrix, names: Sequence[str], setup: FitSetup) -> FitResult:
    """Choose the best base and train a head on all pictures; raises BadInput, see number_labels.

    The base, the number of epochs, the share of the head and the reliability of votes are found on pictures held
    out from a first training.
    """
    labels, seed = number_labels(names), setup.recipe.seed
    split = hold_out(labels, setup.validation, seed)
    validation_set = draw_validation_set(split.held_out, split.train, labels, seed)
    candidates = make_head_bases(gallery, setup.backbone, setup.shipped)
    base, scores = choose_base(candidates, gallery, validation_set)
    trainer = HeadTrainer(gallery, labels, base, setup.recipe, setup.track)
    history, best = trainer.train_until_best(split.train, validation_set)
    known = HeadWeightTrial(validation_set, project_objects(gallery, base.tensors), trainer.project(best.axes))
    report = _report_head(history, best.number, known, _try_novel_labels(trainer, best.number))
    confusions = find_confusions(mix(known.base, known.head, report.share), validation_set)
    bases = {origin: mean_scores(base_scores) for origin, base_scores in scores.items()}
    if report.share == 0:
        return FitResult(base.tensors, base.origin, bases, report, confusions)
    head = {
        "means": trainer.means,
        "axes": trainer.train(np.arange(len(labels)), best.number, "training the head on all pictures"),
        "share": np.array([report.share], np.float32),
        "reliability": np.array([report.reliability], np.float32),
        **measure_domain(known.base, labels, split),
    }
    tensors = base.tensors | {f"head.{name}": value for name, value in head.items()}
    return FitResult(tensors, base.origin, bases, report, confusions)


def _try_novel_labels(trainer: HeadTrainer, epochs: int) -> HeadWeightTrial | None:
    """Train a head without some labels, to search for their pictures among all; None when labels are too few."""
    split = hold_out_labels(trainer.labels, trainer.recipe.seed)
    if split is None:
        return None
    axes = trainer.train(split.train, epochs, "trying labels that a head was not trained on")
    validation_set = draw_validation_set(
        split.held_out, np.arange(len(trainer.labels)), trainer.labels, trainer.recipe.seed
    )
    return HeadWeightTrial(
        validation_set, project_objects(trainer.gallery, trainer.base.tensors), trainer.project(axes)
    )


def _report_head(
    history: list[EpochScore], epochs: int, known: HeadWeightTrial, novel: HeadWeightTrial | None
) -> HeadReport:
    labels = len(np.unique(known.validation_set.labels))
    novel_labels = len(np.unique(novel.validation_set.labels[novel.validation_set.queries])) if novel else 0
    known_curve, novel_curve = known.curve(), novel.curve() if novel else None
    share = choose_share(known_curve, novel_curve)
    return HeadReport(
        labels, history, epochs, share, measure_reliability(known, share), _compare_at(known_curve, share),
        novel_labels, _compare_at(novel_curve, share) if novel_curve else None,
    )  # fmt: skip


def _compare_at(curve: WeightCurve, share: float) -> FitComparison:
    shares = {str(tried): mean_scores(scores) for tried, scores in curve.items()}
    queries = len(curve[share][CHOSEN_BY])
    return FitComparison(queries, shares["0.0"], shares["1.0"], shares[str(share)], shares)
