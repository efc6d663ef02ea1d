"""Reliability: whether stated probabilities are true: of what is stated with 0.8, 80 % should be so."""

from dataclasses import dataclass

import numpy as np

from consumers.quality.evaluation.bootstrap import TAILS, Estimate, resample
from infra.array_types import Doubles, Integers, Mask

BINS = 10


@dataclass(frozen=True, eq=False)
class Claims:
    """Probabilities that answers state, 0 to 1 [N], whether each came true [N], and the number of its query [N].

    Several claims may be of one query, as those of all its hits: they are resampled together.
    """

    probabilities: Doubles
    correct: Mask
    queries: Integers


@dataclass(frozen=True)
class ConfidenceBin:
    """Confidences from `low` to `high`: their count, their mean, and their accuracy: the share that is correct."""

    low: float
    high: float
    count: int
    confidence: float
    accuracy: Estimate


@dataclass(frozen=True)
class ConfidenceCut:
    """A threshold: the share of confidences at or above it (`left`), and the share of those that is correct."""

    threshold: float
    left: float
    right: float


@dataclass(frozen=True)
class Reliability:
    """The calibration errors of confidences, and their reliability table; of the errors, 0 is perfect.

    `ece` is the expected calibration error over bins of equal width (Naeini, Cooper and Hauskrecht, AAAI 2015),
    `brier` the mean squared difference of confidence and correctness (Brier, 1950). Empty bins are omitted.
    """

    count: int
    ece: Estimate
    brier: Estimate
    bins: tuple[ConfidenceBin, ...]

    def threshold_cuts(self) -> tuple[ConfidenceCut, ...]:
        """The effect of a threshold at the lower end of each bin, in ascending order."""
        cuts, count, correct = list[ConfidenceCut](), 0, 0.0
        for bin_ in reversed(self.bins):
            count, correct = count + bin_.count, correct + bin_.count * bin_.accuracy.value
            cuts.append(ConfidenceCut(bin_.low, count / self.count, correct / count))
        return tuple(reversed(cuts))


def reliability(claims: Claims, seed: int) -> Reliability:
    """Compare claims with what came true; raises ValueError when there are none."""
    if len(claims.probabilities) == 0:
        raise ValueError("nothing was claimed: there is no reliability to measure")
    table = _Table.of(claims)
    [values] = table.statistics(np.ones((1, table.queries)))
    filled = ~np.isnan(values)
    bounds = np.full((2, len(values)), np.nan)
    bounds[:, filled] = np.nanpercentile(resample(table.statistics, table.queries, seed)[:, filled], TAILS, axis=0)
    ece, brier, *accuracies = (
        Estimate(float(value), float(low), float(high)) for value, low, high in zip(values, *bounds, strict=True)
    )
    counts, sums = table.counts.sum(axis=0), table.confidences.sum(axis=0)
    bins = tuple(
        ConfidenceBin(n / BINS, (n + 1) / BINS, int(counts[n]), float(sums[n] / counts[n]), accuracies[n])
        for n in np.flatnonzero(counts).tolist()
    )
    return Reliability(len(claims.probabilities), _basic(ece), brier, bins)


def _basic(resampled: Estimate) -> Estimate:
    """The basic bootstrap interval of an ECE, from that of the percentiles of resampled ones.

    Chance makes an ECE too large, and those of resamples more so. The basic interval corrects this; that of
    percentiles would begin above the true ECE of a perfect confidence (Davison and Hinkley, Bootstrap Methods and
    their Application, 1997, section 5.2). It contains the value, and nothing below 0.
    """
    value = resampled.value
    return Estimate(value, max(0.0, min(2 * value - resampled.high, value)), max(2 * value - resampled.low, value))


@dataclass(frozen=True, eq=False)
class _Table:
    """For each query and bin, [Q, BINS]: number, sum of confidences, and number correct; and squared errors [Q]."""

    counts: Doubles
    confidences: Doubles
    correct: Doubles
    squares: Doubles

    @classmethod
    def of(cls, claims: Claims) -> "_Table":
        """The table of claims; queries without a claim are left out."""
        _, rows = np.unique(claims.queries, return_inverse=True)
        probabilities, correct = claims.probabilities, claims.correct.astype(np.float64)
        cells = rows * BINS + np.minimum((probabilities * BINS).astype(int), BINS - 1)
        size = (int(rows.max()) + 1) * BINS
        counts, confidences, hits = (
            np.bincount(cells, values, size).reshape(-1, BINS).astype(np.float64)
            for values in (np.ones(len(cells)), probabilities, correct)
        )
        squares = np.bincount(rows, (probabilities - correct) ** 2).astype(np.float64)
        return cls(counts, confidences, hits, squares)

    @property
    def queries(self) -> int:
        """The number of queries."""
        return len(self.counts)

    def statistics(self, drawn: Doubles) -> Doubles:
        """ECE, Brier score, and the accuracy of each bin, [R, 2 + BINS], if queries are drawn so often, [R, Q].

        The accuracy of an empty bin is NaN.
        """
        counts, confidences, correct = drawn @ self.counts, drawn @ self.confidences, drawn @ self.correct
        total = counts.sum(axis=1)
        ece = np.abs(confidences - correct).sum(axis=1) / total
        accuracy = np.where(counts > 0, correct / np.maximum(counts, 1), np.nan)
        return np.column_stack([ece, drawn @ self.squares / total, accuracy])
