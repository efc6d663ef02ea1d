"""Curves from score to confidence, and the calibrations that they are fitted to.

A calibration holds what was measured on one tenant's points: how near they come to null pictures, and to each
other. It keeps cosines part by part, so that a curve for any weights is a small product and needs no new search.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from consumers.vision.embedder import UNIT_TOLERANCE, weighted
from schemas.ranking import Weights

Floats = NDArray[np.float32]
Codes = NDArray[np.int8]

PARTS = 3
PAD = -2.0
"""Stands for a candidate that is not there: below every cosine."""
MOST_COSINE = 1.05
"""A cosine is at most 1, but for what codes of 8 bits and parts of nearly unit length add."""
SAME, OTHER, UNKNOWN = 1, 0, -1
"""Whether a sampled point and its neighbour were given the same category, where both were given one."""
NEIGHBOURS = 5
"""Neighbours of each sampled point that a curve is fitted to."""
NULL_QUANTILE, NEAR_QUANTILE, MARGIN = 0.95, 0.05, 0.2
"""The threshold lies above NULL_QUANTILE of the null pictures of the query's kind, by MARGIN of the way to what all
but NEAR_QUANTILE of the points score with their nearest neighbours, and never above that. Chosen on validation
pictures (DECISIONS.md): null pictures alone let 2 to 3 % of unrelated photos pass, real ones being less strange."""
ENOUGH = 20
"""Points below which nothing is cut: so few cannot tell what alike means here, and can be looked through by eye."""
UNLABELLED = (-1.0, 2.0)
"""Intercept and slope of the logistic in u that holds without labels."""
PRIOR = 1.0
"""Standard deviation of the prior around UNLABELLED: a few dozen labelled pairs outweigh it."""
LEAST_SLOPE = 0.5
LEAST_SCALE = 0.05
STEPS = 12


@dataclass(frozen=True)
class LookParts:
    """How long the parts of a look are; what is left after object and style is colour."""

    object_size: int
    style_size: int

    def weigh(self, look: Floats, weights: Weights) -> Floats:
        """A look as a query: each part multiplied by its share of the weights."""
        return weighted(look, weights, self.object_size, self.style_size)

    def scale(self, look: Floats) -> Floats:
        """The look with each part of unit length, but for parts of zeros alone."""
        parts = np.split(look, [self.object_size, self.object_size + self.style_size])
        return np.concatenate([part / (np.linalg.norm(part) or 1.0) for part in parts]).astype(np.float32)

    def are_of_unit_length(self, look: Floats) -> bool:
        """Whether each part of a look is of unit length or of zeros alone, and so all of it numbers."""
        parts = np.split(look, [self.object_size, self.object_size + self.style_size])
        lengths = np.array([np.linalg.norm(part.astype(np.float64)) for part in parts])
        return bool(np.all((lengths == 0) | (np.abs(lengths - 1) < UNIT_TOLERANCE)))

    def cosines(self, look: Floats, others: Floats) -> Floats:
        """float32 [n, 3]: the cosine of each part of a look with those of n others, [n, size]."""
        ends = [self.object_size, self.object_size + self.style_size]
        mine, theirs = np.split(look, ends), np.split(others, ends, axis=1)
        return np.stack([rows @ part for part, rows in zip(mine, theirs, strict=True)], axis=1)


@dataclass(frozen=True)
class CalibrationCurve:
    """Confidence from score: the expected share of right hits among those that score like this.

    Right means of the same category. With u = (score - threshold) / scale, confidence is
    1 / (1 + exp(-(intercept + slope * u))) from the threshold on, which rises with the score, and 0 below it:
    strict requests cut exactly there, so that a hit that scores less than the threshold is left out.
    """

    threshold: float
    scale: float
    intercept: float
    slope: float

    def of(self, scores: NDArray[np.floating]) -> Floats:
        """float32 0..1 of each score; 0 for scores below the threshold."""
        given = np.asarray(scores, np.float64)
        rising = _logistic(self.intercept + self.slope * (given - self.threshold) / self.scale)
        return np.where(given < self.threshold, 0.0, rising).astype(np.float32)

    @property
    def cuts(self) -> bool:
        """Whether there is a threshold at all: without a calibration nothing is cut."""
        return self.threshold > -1


UNCALIBRATED = CalibrationCurve(threshold=-1.0, scale=1.0, intercept=-12.0, slope=8.0)
"""Holds while nothing was measured: cuts nothing, and a score of .5 is right as often as not."""


class Neighbourhood(NamedTuple):
    """The candidates of a probe: cosines float32 [n, 3], and SAME, OTHER or UNKNOWN of each, int8 [n]."""

    cosines: Floats
    same: Codes


@dataclass(frozen=True, eq=False)
class Calibration:
    """What was measured on `points` points: of null pictures and of sampled points, their best candidates.

    `nulls` [n, c, 3] and `near` [m, c, 3] are cosines by part, filled up with PAD; `same` [m, c] goes with `near`.
    `studio` [n] and `kinds` [m] tell which of the null pictures and of the points are studio pictures.
    """

    points: int
    nulls: Floats
    studio: Codes
    near: Floats
    same: Codes
    kinds: Codes

    def curve(self, weights: Weights, *, studio: bool = False) -> CalibrationCurve:
        """For what a photo, or a studio picture, scores under these weights; UNCALIBRATED for few points."""
        alike = self.studio == studio
        best = _scores(self.nulls[alike] if alike.any() else self.nulls, weights).max(1, initial=PAD)
        scores, same, kinds = self._neighbours(weights)
        if len(scores) < ENOUGH or not len(best):
            return UNCALIBRATED
        # What studio pictures score with each other says nothing of photos among them: those score far less.
        mine = kinds == studio if np.sum(kinds == studio) >= ENOUGH else np.zeros(len(kinds), bool)
        threshold = _threshold(best, scores[:, 0], MARGIN if mine.any() else 0.0)
        scale = max(float(np.median(scores[:, 0])) - threshold, LEAST_SCALE)
        labelled = (same != UNKNOWN) & (scores >= threshold) & mine[:, None]
        intercept, slope = _fitted((scores[labelled] - threshold) / scale, same[labelled] == SAME)
        return CalibrationCurve(threshold, scale, intercept, slope)

    def note(self) -> dict[str, object]:
        """As plain JSON values."""
        floats = {"nulls": packed(self.nulls), "near": packed(self.near)}
        codes = {"studio": packed(self.studio), "same": packed(self.same), "kinds": packed(self.kinds)}
        return {"points": self.points, **floats, **codes}

    def _neighbours(self, weights: Weights) -> tuple[Floats, Codes, Codes]:
        """Scores of the best neighbours of each sampled point that has any, whether they agree, and its kind."""
        scores = _scores(self.near, weights)
        order = np.argsort(-scores, axis=1, kind="stable")[:, :NEIGHBOURS]
        best, same = np.take_along_axis(scores, order, 1), np.take_along_axis(self.same, order, 1)
        has_any = best.max(1, initial=PAD) > -1
        return best[has_any], np.where(best > -1, same, UNKNOWN)[has_any], self.kinds[has_any]


def calibration_of(note: Mapping[str, object]) -> Calibration:
    """The calibration in a note."""
    nulls, near = (unpacked(note[name]).astype(np.float32) for name in ("nulls", "near"))
    studio, same, kinds = (unpacked(note[name]).astype(np.int8) for name in ("studio", "same", "kinds"))
    points = note["points"]
    return Calibration(points if isinstance(points, int) else 0, nulls, studio, near, same, kinds)


def stacked(probes: list[Neighbourhood]) -> tuple[Floats, Codes]:
    """Probes with any number of candidates as two arrays, [n, most, 3] and [n, most]."""
    most = max((len(probe.same) for probe in probes), default=0)
    cosines = np.full((len(probes), most, PARTS), PAD, np.float32)
    same = np.full((len(probes), most), UNKNOWN, np.int8)
    for row, probe in enumerate(probes):
        cosines[row, : len(probe.same)], same[row, : len(probe.same)] = probe.cosines, probe.same
    # What is no cosine is of a broken vector: one of them must not move a threshold of all.
    return np.where(np.abs(cosines) <= MOST_COSINE, cosines, PAD).astype(np.float32), same


def packed(array: NDArray[np.float32] | NDArray[np.int8]) -> dict[str, object]:
    """An array as plain JSON values; floats keep three digits."""
    small = array.astype(np.float16) if array.dtype == np.float32 else array
    return {
        "type": str(small.dtype),
        "shape": list(small.shape),
        "data": base64.b64encode(small.tobytes()).decode(),
    }


def unpacked(values: object) -> NDArray[np.float16] | NDArray[np.int8]:
    """The array in such values; raises ValueError when it is none."""
    match values:
        case {"type": "float16" | "int8" as kind, "shape": list(shape), "data": str(data)}:
            return np.frombuffer(base64.b64decode(data), kind).reshape(shape)
    raise ValueError("a note of the index holds no array where one should be")


def _scores(cosines: Floats, weights: Weights) -> Floats:
    shares = np.array([weights.object, weights.style, weights.colour], np.float32)
    scores: Floats = cosines @ (shares / shares.sum())
    return scores


def _threshold(nulls: Floats, near: Floats, margin: float) -> float:
    """Where to cut, by the best score of each null picture and of each point among the others."""
    unrelated, related = float(np.quantile(nulls, NULL_QUANTILE)), float(np.quantile(near, NEAR_QUANTILE))
    return min(unrelated + margin * max(related - unrelated, 0.0), related)


def _logistic(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1 / (1 + np.exp(-np.clip(x, -40, 40)))


def _fitted(u: Floats, right: NDArray[np.bool_]) -> tuple[float, float]:
    """Intercept and slope of the likeliest logistic of `right` over u, by Newton's method; UNLABELLED if few."""
    inputs = np.stack([np.ones(len(u)), u.astype(np.float64)], axis=1)
    prior = np.array(UNLABELLED)
    found = prior.copy()
    for _ in range(STEPS):
        expected = _logistic(inputs @ found)
        slope = inputs.T @ (right - expected) - (found - prior) / PRIOR**2
        curvature = (inputs.T * (expected * (1 - expected))) @ inputs + np.eye(2) / PRIOR**2
        found = found + np.linalg.solve(curvature, slope)
    return float(found[0]), max(float(found[1]), LEAST_SLOPE)
