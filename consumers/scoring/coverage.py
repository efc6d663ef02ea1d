"""Coverage: how likely a collection has things of the query's kind at all.

The mean score of a query's nearest items under the collection's metric tells, if one knows what it is with and
without such things. Both are measured on the collection's own pictures: for each, the mean of the nearest among the
other items, and among those of other categories.
"""

from dataclasses import dataclass

import numpy as np

from consumers.scoring.calibration_curve import fit_logistic
from infra.array_types import Floats, Mask

COVERAGE_NEIGHBOURS = 10
"""Nearest items, by their looks, whose mean score is taken: those that vote on the category, too."""
MIN_LABELLED = 60
"""Fewest pictures with a category by which coverage is estimated."""
NEAR_DUPLICATE = 0.8
"""Scores above this, for the intent `similar`, are of pictures of the same thing, which a new photo seldom has.
With them the estimate is too strict: of 296 grocery photos whose kind is there, it flagged .53 instead of .24, then
by the best score."""


@dataclass(frozen=True)
class CoverageCurve:
    """Coverage as a function of the mean score: 1 / (1 + exp(-(intercept + slope * (score - middle) / scale)))."""

    middle: float
    scale: float
    intercept: float
    slope: float

    def estimate(self, score: float) -> float:
        """Return the coverage, 0..1."""
        u = self.intercept + self.slope * (score - self.middle) / self.scale
        return float(1 / (1 + np.exp(-np.clip(u, -40, 40))))


def fit_coverage(present: Floats, absent: Floats) -> CoverageCurve | None:
    """Return the curve from mean scores with and without things of the kind, [n] and [m]; None for too few."""
    if min(len(present), len(absent)) < MIN_LABELLED:
        return None
    scores = np.concatenate([present, absent])
    is_present: Mask = np.arange(len(scores)) < len(present)
    middle, scale = float((present.mean() + absent.mean()) / 2), max(float(scores.std()), 1e-3)
    intercept, slope = fit_logistic(((scores - middle) / scale).astype(np.float32), is_present)
    return CoverageCurve(middle, scale, intercept, slope)
