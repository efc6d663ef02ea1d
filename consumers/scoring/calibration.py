"""Calibration: fit curves from score to confidence to the similarities measured on a tenant's points.

A calibration stores the cosines between points and null pictures, and between points and their neighbours. They are
stored per part of the look, so a curve for any weights is a small matrix product and needs no new search. The
object part has two: that of the looks, and that under the collection's metric.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from consumers.scoring.arrays import Codes, pack_array, unpack_array
from consumers.scoring.metric import DEFAULT_METRIC, Metric, parse_metric
from consumers.vision.embedder import UNIT_TOLERANCE, weight_look
from infra.array_types import Floats
from schemas.ranking import Weights

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
NULL_QUANTILE, NEAR_QUANTILE, THRESHOLD_MARGIN = 0.95, 0.05, 0.2
"""The threshold is unrelated + MARGIN * (related - unrelated), and at most related. Here unrelated is the
NULL_QUANTILE of the best scores of the null pictures of the query's kind (photo or studio picture), and related the
NEAR_QUANTILE of the points' scores with their nearest neighbours. Chosen on validation pictures (DECISIONS.md):
null pictures alone let 2 to 3 % of unrelated photos pass, because real photos are less unusual."""
MIN_POINTS = 20
"""Fewest points for a threshold: fewer do not show which scores mean similar, and can be reviewed by eye."""
PRIOR_MEAN = (-1.0, 2.0)
"""Intercept and slope of the logistic function of u that is used without labels; the mean of the prior."""
PRIOR_STD = 1.0
"""Standard deviation of the prior around UNLABELLED: a few dozen labelled pairs outweigh it."""
MIN_SLOPE = 0.5
MIN_SCALE = 0.05
NEWTON_STEPS = 12


@dataclass(frozen=True)
class LookParts:
    """Sizes of the object and style parts of a look; the rest is the colour part."""

    object_size: int
    style_size: int

    def apply_weights(self, look: Floats, weights: Weights) -> Floats:
        """Return the look as a query vector: each part multiplied by its share of the weights."""
        return weight_look(look, weights, self.object_size, self.style_size)

    def object(self, looks: Floats) -> Floats:
        """Return the object parts of looks [..., size]."""
        return looks[..., : self.object_size]

    def colour(self, looks: Floats) -> Floats:
        """Return the colour parts of looks [..., size]."""
        return looks[..., self.object_size + self.style_size :]

    def normalise(self, look: Floats) -> Floats:
        """Return the look with each part scaled to unit length; parts that are all zeros stay unchanged."""
        parts = np.split(look, [self.object_size, self.object_size + self.style_size])
        return np.concatenate([part / (np.linalg.norm(part) or 1.0) for part in parts]).astype(np.float32)

    def has_unit_parts(self, look: Floats) -> bool:
        """Return whether each part of a look has unit length or is all zeros; so it holds no NaN or infinity."""
        parts = np.split(look, [self.object_size, self.object_size + self.style_size])
        lengths = np.array([np.linalg.norm(part.astype(np.float64)) for part in parts])
        return bool(np.all((lengths == 0) | (np.abs(lengths - 1) < UNIT_TOLERANCE)))

    def adapted_scores(self, look: Floats, others: Floats, weights: Weights, metric: Metric) -> Floats:
        """Return float32 [n]: the scores of n others, [n, size], with the object part under a metric."""
        cosines = self.cosines(look, others)
        cosines[:, 0] = metric.object_cosines(self.object(look), self.object(others))
        shares = np.array([weights.object, weights.style, weights.colour], np.float32)
        scores: Floats = cosines @ (shares / shares.sum())
        return scores

    def cosines(self, look: Floats, others: Floats) -> Floats:
        """Return float32 [n, 3]: the cosine of each part of a look with the same part of n others, [n, size]."""
        ends = [self.object_size, self.object_size + self.style_size]
        look_parts, other_parts = np.split(look, ends), np.split(others, ends, axis=1)
        return np.stack([rows @ part for part, rows in zip(look_parts, other_parts, strict=True)], axis=1)


@dataclass(frozen=True)
class CalibrationCurve:
    """Confidence as a function of the score: the expected share of correct hits among hits with this score.

    Correct means of the same category. With u = (score - threshold) / scale, the confidence is
    1 / (1 + exp(-(intercept + slope * u))) at and above the threshold, where it rises with the score, and 0 below.
    Strict requests leave out exactly the hits that score less than the threshold.
    """

    threshold: float
    scale: float
    intercept: float
    slope: float

    def confidence(self, scores: NDArray[np.floating]) -> Floats:
        """Return the confidence of each score, float32 0..1; 0 for scores below the threshold."""
        scores64 = np.asarray(scores, np.float64)
        confidence = _logistic(self.intercept + self.slope * (scores64 - self.threshold) / self.scale)
        return np.where(scores64 < self.threshold, 0.0, confidence).astype(np.float32)

    @property
    def has_threshold(self) -> bool:
        """Whether there is a threshold; without a calibration there is none."""
        return self.threshold > -1


UNCALIBRATED = CalibrationCurve(threshold=-1.0, scale=1.0, intercept=-12.0, slope=8.0)
"""Curve for tenants without a calibration: no threshold, and a confidence of 0.5 at a score of 0.5."""


class Neighbourhood(NamedTuple):
    """Candidates of a probe: cosines, float32 [n, 4], and SAME, OTHER or UNKNOWN for each, int8 [n]."""

    cosines: Floats
    agreement: Codes


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

    def curve(self, weights: Weights, *, studio: bool = False, metric: Metric = DEFAULT_METRIC) -> CalibrationCurve:
        """Return the curve for photo or studio queries with these weights; UNCALIBRATED for too few points.

        `metric` is the collection's, if scores are under it, else the default one.
        """
        same_kind, is_adapted = self.studio == studio, metric.transform is not None
        nulls = self.nulls[same_kind] if same_kind.any() else self.nulls
        null_scores = _scores(nulls, weights, is_adapted=is_adapted).max(1, initial=PAD)
        scores, same, kinds = self._neighbours(weights, is_adapted=is_adapted)
        if len(scores) < MIN_POINTS or not len(null_scores):
            return UNCALIBRATED
        # Scores between studio pictures do not apply to photos among them, which score far lower.
        usable = kinds == studio if np.sum(kinds == studio) >= MIN_POINTS else np.zeros(len(kinds), bool)
        threshold = _threshold(null_scores, scores[:, 0], THRESHOLD_MARGIN if usable.any() else 0.0)
        scale = max(float(np.median(scores[:, 0])) - threshold, MIN_SCALE)
        labelled = (same != UNKNOWN) & (scores >= threshold) & usable[:, None]
        intercept, slope = _fit_logistic((scores[labelled] - threshold) / scale, same[labelled] == SAME)
        return CalibrationCurve(threshold, scale, intercept, slope)

    def note(self) -> dict[str, object]:
        """Return the calibration as plain JSON values."""
        floats = {"nulls": pack_array(self.nulls), "near": pack_array(self.near)}
        codes = {
            "studio": pack_array(self.studio),
            "same": pack_array(self.same),
            "kinds": pack_array(self.kinds),
        }
        summary = {"calibrated with": f"{self.points} points", "metric": self.metric.describe()}
        return {"points": self.points, "summary": summary, "metric": self.metric.note(), **floats, **codes}

    def _neighbours(self, weights: Weights, *, is_adapted: bool) -> tuple[Floats, Codes, Codes]:
        """Return scores and agreement of each point's best neighbours, and its kind; only points with any."""
        scores = _scores(self.near, weights, is_adapted=is_adapted)
        order = np.argsort(-scores, axis=1, kind="stable")[:, :NEIGHBOURS_PER_POINT]
        best, same = np.take_along_axis(scores, order, 1), np.take_along_axis(self.same, order, 1)
        has_any = best.max(1, initial=PAD) > -1
        return best[has_any], np.where(best > -1, same, UNKNOWN)[has_any], self.kinds[has_any]


def parse_calibration(note: Mapping[str, object]) -> Calibration:
    """Return the calibration in a note. Raises ValueError when an array in it is invalid."""
    nulls, near = (_with_all_parts(unpack_array(note[name]).astype(np.float32)) for name in ("nulls", "near"))
    studio, same, kinds = (unpack_array(note[name]).astype(np.int8) for name in ("studio", "same", "kinds"))
    points, metric = note["points"], note.get("metric")
    return Calibration(
        points if isinstance(points, int) else 0, nulls, studio, near, same, kinds,
        parse_metric(metric) if isinstance(metric, Mapping) else DEFAULT_METRIC,
    )  # fmt: skip


def _with_all_parts(cosines: Floats) -> Floats:
    """Return cosines [n, c, 4]; notes of versions without a metric have three."""
    return cosines if cosines.shape[2] == PART_COUNT else np.concatenate([cosines, cosines[:, :, :1]], axis=2)


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


def _threshold(nulls: Floats, near: Floats, margin: float) -> float:
    """Return the threshold, from the best score of each null picture and of each point with the other points."""
    unrelated, related = float(np.quantile(nulls, NULL_QUANTILE)), float(np.quantile(near, NEAR_QUANTILE))
    return min(unrelated + margin * max(related - unrelated, 0.0), related)


def _logistic(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1 / (1 + np.exp(-np.clip(x, -40, 40)))


def _fit_logistic(u: Floats, correct: NDArray[np.bool_]) -> tuple[float, float]:
    """Return intercept and slope of the logistic regression of `correct` on u, a MAP estimate by Newton's method.

    The prior is normal around UNLABELLED, so few labels give about UNLABELLED.
    """
    inputs = np.stack([np.ones(len(u)), u.astype(np.float64)], axis=1)
    prior = np.array(PRIOR_MEAN)
    coefficients = prior.copy()
    for _ in range(NEWTON_STEPS):
        expected = _logistic(inputs @ coefficients)
        gradient = inputs.T @ (correct - expected) - (coefficients - prior) / PRIOR_STD**2
        hessian = (inputs.T * (expected * (1 - expected))) @ inputs + np.eye(2) / PRIOR_STD**2
        coefficients = coefficients + np.linalg.solve(hessian, gradient)
    return float(coefficients[0]), max(float(coefficients[1]), MIN_SLOPE)
