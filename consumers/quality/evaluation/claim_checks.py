"""Whether what an answer claims can be trusted: confidence, `no_match`, and predicted categories."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from consumers.quality.evaluation.bootstrap import Estimate
from consumers.quality.evaluation.calibration_error import Reliability, reliability
from consumers.quality.evaluation.ground_truth import SIMILAR, WEIGHTINGS, GroundTruth
from consumers.quality.evaluation.labelled_dataset import LabelledImage
from consumers.quality.evaluation.ranking_metrics import Relevance
from consumers.quality.evaluation.retrieval_scores import Results, share
from consumers.quality.evaluation.system_under_test import (
    SearchQuestion,
    SystemUnderTest,
    TrackProgress,
    ask_all,
    put_rows,
)
from schemas.outcomes import ItemIndexed, ItemOutcome
from schemas.results import SearchResult


@dataclass(frozen=True)
class CalibrationCheck:
    """Confidence against truth, of first hits and of all hits."""

    top: Reliability
    all: Reliability


@dataclass(frozen=True)
class StrictCheck:
    """What strict searches do: how many keep an answer, and how good what they keep is.

    `kept` is the share of queries that get hits; `precision` the share of those hits that is right, `first` that of
    the best ones. None when nothing is kept.
    """

    queries: int
    kept: Estimate
    first: Estimate | None
    precision: Estimate | None


@dataclass(frozen=True)
class OffTopicCheck:
    """Pictures of things that the catalogue does not have: the share that is answered `no_match`."""

    queries: int
    unreadable: int
    rejected: Estimate


@dataclass(frozen=True)
class CategoryCheck:
    """Predicted categories. `written`: share of items without one that were given one, `right`: share of those that
    is right. `first`: share of searches whose likeliest category is right. None when none was predicted."""

    items: int
    written: Estimate
    right: Estimate | None
    first: Estimate | None


def calibration(judged: Relevance, results: Results) -> CalibrationCheck | None:
    """How confidence agrees with truth; None when the system gives none (its index is not calibrated)."""
    calibrated = [n for n, result in enumerate(results) if result.threshold is not None and result.hits]
    if not calibrated:
        return None
    ranked = [
        [(hit.confidence, bool(judged.right[n, k])) for k, hit in enumerate(results[n].hits)] for n in calibrated
    ]
    return CalibrationCheck(
        _reliability([hits[0] for hits in ranked]), _reliability([hit for hits in ranked for hit in hits])
    )


def _reliability(pairs: Sequence[tuple[float, bool]]) -> Reliability:
    return reliability(np.array([claim for claim, _ in pairs]), np.array([right for _, right in pairs]))


def strict(trial: GroundTruth, system: SystemUnderTest, track: TrackProgress) -> StrictCheck:
    """What becomes of the queries when hits that score like unrelated pictures are cut."""
    results = _ask_strictly(trial, trial.queries, system, track, "searching strictly")
    judged = trial.judge(trial.queries, results)
    kept = [n for n, result in enumerate(results) if result.hits]
    first = [bool(judged.right[n, 0]) for n in kept]
    every = [bool(judged.right[n, k]) for n in kept for k in range(len(results[n].hits))]
    return StrictCheck(
        len(results), share([bool(result.hits) for result in results], trial.seed),
        share(first, trial.seed) if kept else None, share(every, trial.seed) if kept else None,
    )  # fmt: skip


def off_topic(
    trial: GroundTruth, strangers: Sequence[LabelledImage], system: SystemUnderTest, track: TrackProgress
) -> OffTopicCheck:
    """How strict searches answer pictures of something else."""
    results = _ask_strictly(trial, strangers, system, track, "searching off topic")
    readable = [result.status == "no_match" for result in results if result.status != "rejected"]
    return OffTopicCheck(len(readable), len(results) - len(readable), share(readable, trial.seed))


def _ask_strictly(
    trial: GroundTruth, rows: Sequence[LabelledImage], system: SystemUnderTest, track: TrackProgress, what: str
) -> list[SearchResult]:
    weights = WEIGHTINGS[SIMILAR]
    asked = [SearchQuestion(row.path.read_bytes, weights, trial.filters(row), strict=True) for row in rows]
    return ask_all(system, asked, track, what)


def categories(
    trial: GroundTruth, results: Results, system: SystemUnderTest, track: TrackProgress
) -> CategoryCheck | None:
    """How well categories are predicted; None when the tables have none.

    This puts the queries into the catalogue, as items without a category: it must come last.
    """
    if not any(row.category for row in trial.catalogue):
        return None
    pairs = [(row, result) for row, result in zip(trial.queries, results, strict=True) if row.category]
    # A query that is in the catalogue itself would vote for itself.
    strange = [(row, result) for row, result in pairs if trial.itself(row) is None]
    if not strange:
        return None
    rows = [row for row, _ in strange]
    outcomes = put_rows(system, _bare(rows), track, len(rows))
    names = [_predicted(outcomes.get(_id(n))) for n in range(len(rows))]
    right = [name == row.category for name, row in zip(names, rows, strict=True) if name]
    first = [result.categories[0].name == row.category for row, result in strange if result.categories]
    return CategoryCheck(
        len(rows), share([name is not None for name in names], trial.seed),
        share(right, trial.seed) if right else None, share(first, trial.seed) if first else None,
    )  # fmt: skip


def _predicted(outcome: ItemOutcome | None) -> str | None:
    likely = outcome.category_predicted if isinstance(outcome, ItemIndexed) else None
    return likely.name if likely else None


def _bare(rows: Sequence[LabelledImage]) -> list[tuple[str, LabelledImage]]:
    """The rows under ids of their own, their categories taken away."""
    return [(_id(n), LabelledImage(row.image, row.path, row.label)) for n, row in enumerate(rows)]


def _id(place: int) -> str:
    return f"q{place}"
