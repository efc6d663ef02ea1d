"""Calibration: fit curves from score to confidence to the similarities measured on a tenant's points.

A calibration stores the cosines between points and null pictures, and between points and their neighbours. They are
stored per part of the look, so a curve for any weights is a small matrix product and needs no new search. The
object part has two: that of the looks, and that under the collection's metric.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from consumers.scoring.arrays import Codes, pack_array, unpack_array
from consumers.scoring.calibration_curve import (
    MIN_SCALE,
    THRESHOLD_MARGIN,
    UNCALIBRATED,
    CalibrationCurve,
    fit_logistic,
    fit_threshold,
)
from consumers.scoring.coverage import COVERAGE_NEIGHBOURS, NEAR_DUPLICATE, CoverageCurve, fit_coverage
from consumers.scoring.metric import DEFAULT_METRIC, Metric, parse_metric
from consumers.scoring.verification import NO_VERIFICATION, Verification, parse_verification
from infra.array_types import Floats
from schemas.ranking import INTENTS, Weights

PART_COUNT = 4
"""Cosines of a pair: object, style and colour of the looks, and object under the metric of the collection."""
PAD = -2.0
"""Padding for a missing candidate: below every cosine."""
MAX_COSINE = 1.05
"""Largest valid cosine: 1, plus the error of int8 codes and of parts whose length is only nearly 1."""
SAME, OTHER, UNKNOWN = 1, 0, -1
"""Whether a sampled point and its neighbour have the same given category; UNKNOWN if one has none."""
NEIGHBOURS_PER_POINT = 5
"""Best neighbours of each sampled point that a curve is fitted to."""
ABSENT = "absent_means"
"""Key of a note; under the key `absent`, earlier versions have best scores."""
MIN_POINTS = 20
"""Fewest points for a threshold: fewer do not show which scores mean similar, and can be reviewed by eye."""


class Neighbourhood(NamedTuple):
    """Candidates of a probe: cosines, float32 [n, 4], and SAME, OTHER or UNKNOWN for each, int8 [n]."""

    cosines: Floats
    agreement: Codes


@dataclass(frozen=True, eq=False)
class AugmentedSample:
    """Best candidates of the tenant's pictures after augmentation to casual photos, of other items than their own.

    `near` [k, c, 4] and `same` [k, c] are as in Calibration; `own` [k, 4] are the cosines with their own pictures.
    `studio` [k] is 1 for those that look like studio pictures. `points` is the number of points of the tenant.
    """

    points: int
    near: Floats
    same: Codes
    own: Floats
    studio: Codes

    def note(self) -> dict[str, object]:
        """Return the sample as plain JSON values."""
        return {"points": self.points, **{name: pack_array(getattr(self, name)) for name in SAMPLE_ARRAYS}}


SAMPLE_ARRAYS = ("near", "same", "own", "studio")
NO_AUGMENTED = AugmentedSample(
    0,
    np.empty((0, 0, PART_COUNT), np.float32),
    np.empty((0, 0), np.int8),
    np.empty((0, PART_COUNT), np.float32),
    np.empty(0, np.int8),
)


@dataclass(frozen=True, eq=False)
class Calibration:
    """Best candidates of null pictures and of sampled points, measured when the tenant had `points` points.

    `nulls` [n, c, 4] and `near` [m, c, 4] are cosines by part, padded with PAD; `same` [m, c] belongs to `near`.
    `studio` [n] and `kinds` [m] are 1 for the null pictures and the sampled points that are studio pictures.
    """

    points: int
    nulls: Floats
    studio: Codes
    near: Floats
    same: Codes
    kinds: Codes
    metric: Metric = DEFAULT_METRIC
    """The metric of the collection."""
    absent: Floats = field(default_factory=lambda: np.empty(0, np.float32))
    """Mean score of each sampled point for `similar`, under the metric, with its nearest items of other categories,
    [m]; PAD if unknown."""
    augmented: AugmentedSample = NO_AUGMENTED
    verification: Verification = NO_VERIFICATION
    """Whether the hits of searches are verified."""

    @property
    def has_current_augmented(self) -> bool:
        """Whether the augmented pictures were searched with since the tenant was last calibrated."""
        return self.augmented.points == self.points

    @property
    def is_outdated(self) -> bool:
        """Whether it is of an earlier version, which does not have the scores for coverage."""
        return len(self.absent) != len(self.near)

    def coverage(self, *, studio: bool) -> CoverageCurve | None:
        """Return how coverage follows from the mean score of photo or studio queries for `similar`, if known."""
        if self.is_outdated:
            return None
        plain = _scores(self.near, INTENTS["similar"], is_adapted=False)
        weights, is_adapted = self.metric.adapt_weights(INTENTS["similar"]), self.metric.changes_objects
        present = _mean_of_nearest(plain, _scores(self.near, weights, is_adapted=is_adapted))
        known = (self.kinds == studio) & (self.absent > -1)
        return fit_coverage(present[known & (present > -1)], self.absent[known])

    def curve(self, weights: Weights, *, studio: bool = False, metric: Metric = DEFAULT_METRIC) -> CalibrationCurve:
        """Return the curve for photo or studio queries with these weights; UNCALIBRATED for too few points.

        `metric` is the collection's, if scores are under it, else the default one. Where the tenant has too few
        points of the query's kind, its augmented pictures take their place.
        """
        same_kind, is_adapted = self.studio == studio, metric.changes_objects
        nulls = self.nulls[same_kind] if same_kind.any() else self.nulls
        null_scores = _scores(nulls, weights, is_adapted=is_adapted).max(1, initial=PAD)
        points = _neighbours(self.same, self.kinds, _scores(self.near, weights, is_adapted=is_adapted))
        if len(points.kinds) < MIN_POINTS or not len(null_scores):
            return UNCALIBRATED
        augmented_scores = _scores(self.augmented.near, weights, is_adapted=is_adapted)
        augmented = _neighbours(self.augmented.same, self.augmented.studio, augmented_scores).of_kind(studio=studio)
        # Scores between studio pictures do not apply to photos among them, which score far lower.
        own_kind, related = points.of_kind(studio=studio), points.scores[:, 0]
        if len(own_kind.kinds) < MIN_POINTS <= len(augmented.kinds):
            own_kind, related = augmented, augmented.scores[:, 0]
        has_own_kind = len(own_kind.kinds) >= MIN_POINTS
        threshold = fit_threshold(null_scores, related, THRESHOLD_MARGIN if has_own_kind else 0.0)
        scale = max(float(np.median(related)) - threshold, MIN_SCALE)
        labelled = (own_kind.same != UNKNOWN) & (own_kind.scores >= threshold) & has_own_kind
        u = (own_kind.scores[labelled] - threshold) / scale
        return CalibrationCurve(threshold, scale, *fit_logistic(u, own_kind.same[labelled] == SAME))

    def note(self) -> dict[str, object]:
        """Return the calibration as plain JSON values."""
        floats = {"nulls": pack_array(self.nulls), "near": pack_array(self.near), ABSENT: pack_array(self.absent)}
        codes = {
            "studio": pack_array(self.studio),
            "same": pack_array(self.same),
            "kinds": pack_array(self.kinds),
        }
        summary = {
            "calibrated with": f"{self.points} points",
            "metric": self.metric.describe(),
            "verification": self.verification.describe(),
        }
        learned = {
            "metric": self.metric.note(),
            "augmented": self.augmented.note(),
            "verification": self.verification.note(),
        }
        return {"points": self.points, "summary": summary, **learned, **floats, **codes}


def parse_calibration(note: Mapping[str, object]) -> Calibration:
    """Return the calibration in a note. Raises ValueError when an array in it is invalid."""
    nulls, near = (_with_all_parts(unpack_array(note[name]).astype(np.float32)) for name in ("nulls", "near"))
    studio, same, kinds = (unpack_array(note[name]).astype(np.int8) for name in ("studio", "same", "kinds"))
    points, metric = note["points"], note.get("metric")
    return Calibration(
        points if isinstance(points, int) else 0, nulls, studio, near, same, kinds,
        parse_metric(metric) if isinstance(metric, Mapping) else DEFAULT_METRIC,
        unpack_array(note[ABSENT]).astype(np.float32) if ABSENT in note else np.empty(0, np.float32),
        _parse_augmented(note.get("augmented")), parse_verification(note.get("verification")),
    )  # fmt: skip


def _parse_augmented(values: object) -> AugmentedSample:
    """Return the sample in a note; notes of older versions have none."""
    if not isinstance(values, Mapping):
        return NO_AUGMENTED
    near, same, own, studio = (unpack_array(values[name]) for name in SAMPLE_ARRAYS)
    points = values.get("points")
    return AugmentedSample(
        points if isinstance(points, int) else 0, near.astype(np.float32), same.astype(np.int8),
        own.astype(np.float32), studio.astype(np.int8),
    )  # fmt: skip


def _with_all_parts(cosines: Floats) -> Floats:
    """Return cosines [n, c, 4]; notes of versions without a metric have three."""
    return cosines if cosines.shape[2] == PART_COUNT else np.concatenate([cosines, cosines[:, :, :1]], axis=2)


class _Neighbours(NamedTuple):
    """Scores and agreement of each point's best neighbours, best first, [n, 5], and the kind of each point, [n]."""

    scores: Floats
    same: Codes
    kinds: Codes

    def of_kind(self, *, studio: bool) -> "_Neighbours":
        """Return the studio pictures, or the photos, alone."""
        rows = self.kinds == studio
        return _Neighbours(self.scores[rows], self.same[rows], self.kinds[rows])


def _neighbours(same: Codes, kinds: Codes, scores: Floats) -> _Neighbours:
    """Return the best neighbours of the points that have any, by their scores [n, c]."""
    order = np.argsort(-scores, axis=1, kind="stable")[:, :NEIGHBOURS_PER_POINT]
    best, agreement = np.take_along_axis(scores, order, 1), np.take_along_axis(same, order, 1)
    has_any = best.max(1, initial=PAD) > -1
    return _Neighbours(best[has_any], np.where(best > -1, agreement, UNKNOWN)[has_any], kinds[has_any])


def _mean_of_nearest(plain: Floats, scores: Floats) -> Floats:
    """Return the mean of the scores [n, c] of each point's nearest neighbours, by their plain scores; PAD for none.

    Near-duplicates do not count.
    """
    ranked = np.where(plain < NEAR_DUPLICATE, plain, PAD)
    order = np.argsort(-ranked, axis=1, kind="stable")[:, :COVERAGE_NEIGHBOURS]
    counts = np.take_along_axis(ranked, order, 1) > -1
    sums = np.where(counts, np.take_along_axis(scores, order, 1), 0).sum(1)
    means: Floats = np.where(counts.any(1), sums / np.maximum(counts.sum(1), 1), PAD).astype(np.float32)
    return means


def stack_probes(probes: list[Neighbourhood]) -> tuple[Floats, Codes]:
    """Stack probes into two padded arrays: cosines [n, c, 4] and agreement [n, c], c being the most candidates."""
    most = max((len(probe.agreement) for probe in probes), default=0)
    cosines = np.full((len(probes), most, PART_COUNT), PAD, np.float32)
    same = np.full((len(probes), most), UNKNOWN, np.int8)
    for row, probe in enumerate(probes):
        cosines[row, : len(probe.agreement)], same[row, : len(probe.agreement)] = probe.cosines, probe.agreement
    # An invalid cosine comes from a broken vector, which must not change the tenant's threshold.
    return np.where(np.abs(cosines) <= MAX_COSINE, cosines, PAD).astype(np.float32), same


def _scores(cosines: Floats, weights: Weights, *, is_adapted: bool) -> Floats:
    plain, adapted = (0.0, weights.object) if is_adapted else (weights.object, 0.0)
    shares = np.array([plain, weights.style, weights.colour, adapted], np.float32)
    scores: Floats = cosines @ (shares / shares.sum())
    return scores
