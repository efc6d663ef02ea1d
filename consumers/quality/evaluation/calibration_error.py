"""Calibration error: measures whether confidences are accurate: of the hits at 0.8, 80 % should be correct."""

from dataclasses import dataclass

import numpy as np

from infra.array_types import Doubles, Mask

BINS = 10


@dataclass(frozen=True)
class ConfidenceBin:
    """Confidences between `low` and `high`: their count, their mean (`expected`), and the share that is correct."""

    low: float
    high: float
    count: int
    expected: float
    observed: float


@dataclass(frozen=True)
class ConfidenceCut:
    """A threshold `least`: the share of hits at or above it (`left`), and the share of those that is correct."""

    threshold: float
    left: float
    right: float


@dataclass(frozen=True)
class Reliability:
    """The calibration errors of confidences; lower is better, 0 is perfect.

    `ece` is the expected calibration error over bins of equal width (Naeini, Cooper and Hauskrecht, AAAI 2015),
    `brier` the mean squared difference of confidence and correctness (Brier, 1950). Empty bins are omitted.
    """

    count: int
    ece: float
    brier: float
    bins: tuple[ConfidenceBin, ...]

    def threshold_cuts(self) -> tuple[ConfidenceCut, ...]:
        """The effect of a threshold at the lower end of each bin, in ascending order."""
        cuts, count, correct = list[ConfidenceCut](), 0, 0.0
        for bin_ in reversed(self.bins):
            count, correct = count + bin_.count, correct + bin_.count * bin_.observed
            cuts.append(ConfidenceCut(bin_.low, count / self.count, correct / count))
        return tuple(reversed(cuts))


def reliability(confidences: Doubles, correct: Mask) -> Reliability:
    """Compare confidences, 0 to 1 [N], with correctness, [N]; raises ValueError when there are none."""
    if len(confidences) == 0:
        raise ValueError("nothing was claimed: there is no reliability to measure")
    numbers = np.minimum((confidences * BINS).astype(int), BINS - 1)
    bins = tuple(
        _bin(n, confidences[numbers == n], correct[numbers == n]) for n in range(BINS) if np.any(numbers == n)
    )
    ece = sum(bin_.count * abs(bin_.expected - bin_.observed) for bin_ in bins) / len(confidences)
    return Reliability(len(confidences), ece, float(np.mean((confidences - correct) ** 2)), bins)


def _bin(number: int, confidences: Doubles, correct: Mask) -> ConfidenceBin:
    return ConfidenceBin(
        number / BINS, (number + 1) / BINS, len(confidences), float(confidences.mean()), float(correct.mean())
    )
