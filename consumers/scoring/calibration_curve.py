"""Calibration curve: confidence as a function of the score, and how its threshold and its slope are fitted."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from infra.array_types import Doubles, Floats

NULL_QUANTILE, NEAR_QUANTILE, THRESHOLD_MARGIN = 0.95, 0.05, 0.2
"""The threshold is unrelated + MARGIN * (related - unrelated), and at most related. Here unrelated is the
NULL_QUANTILE of the best scores of the null pictures of the query's kind (photo or studio picture), and related the
NEAR_QUANTILE of the points' scores with their nearest neighbours. Chosen on validation pictures (DECISIONS.md):
null pictures alone let 2 to 3 % of unrelated photos pass, because real photos are less unusual."""
PRIOR_MEAN = (-1.0, 2.0)
"""Intercept and slope of the logistic function of u that is used without labels; the mean of the prior."""
PRIOR_STD = 1.0
"""Standard deviation of the prior around UNLABELLED: a few dozen labelled pairs outweigh it."""
MIN_SLOPE = 0.5
MIN_SCALE = 0.05
NEWTON_STEPS, STEP_HALVINGS = 12, 10


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


def fit_threshold(nulls: Floats, near: Floats, margin: float) -> float:
    """Return the threshold, from the best score of each null picture and of each point with the other points."""
    unrelated, related = float(np.quantile(nulls, NULL_QUANTILE)), float(np.quantile(near, NEAR_QUANTILE))
    return min(unrelated + margin * max(related - unrelated, 0.0), related)


def _logistic(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1 / (1 + np.exp(-np.clip(x, -40, 40)))


def fit_logistic(u: Floats, correct: NDArray[np.bool_]) -> tuple[float, float]:
    """Return intercept and slope of the logistic regression of `correct` on u, a MAP estimate by Newton's method.

    The prior is normal around PRIOR_MEAN, so few labels give about PRIOR_MEAN. A step that makes the estimate worse
    is halved: whole steps may run away from a start that is far off.
    """
    inputs = np.stack([np.ones(len(u)), u.astype(np.float64)], axis=1)
    prior = np.array(PRIOR_MEAN)
    coefficients = prior.copy()

    def likelihood(at: Doubles) -> float:
        z = inputs @ at
        return float(np.sum(z * correct - np.logaddexp(0, z)) - np.sum((at - prior) ** 2) / (2 * PRIOR_STD**2))

    for _ in range(NEWTON_STEPS):
        expected = _logistic(inputs @ coefficients)
        gradient = inputs.T @ (correct - expected) - (coefficients - prior) / PRIOR_STD**2
        hessian = (inputs.T * (expected * (1 - expected))) @ inputs + np.eye(2) / PRIOR_STD**2
        step = np.linalg.solve(hessian, gradient)
        for _ in range(STEP_HALVINGS):
            if likelihood(coefficients + step) >= likelihood(coefficients):
                break
            step = step / 2
        coefficients = coefficients + step
    return float(coefficients[0]), max(float(coefficients[1]), MIN_SLOPE)
