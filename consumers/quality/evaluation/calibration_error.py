"""Whether a confidence means what it says: of the hits that claim 0.8, are 80 % right?"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

BINS = 10


@dataclass(frozen=True)
class ConfidenceBin:
    """Claims between two confidences: how many, what they claim on average, and the share that is right."""

    low: float
    high: float
    count: int
    expected: float
    observed: float


@dataclass(frozen=True)
class ConfidenceCut:
    """What is left when nothing below a confidence of `least` is shown: a share, and how much of it is right."""

    least: float
    left: float
    right: float


@dataclass(frozen=True)
class Reliability:
    """How claims and truth agree; lower errors are better, 0 is perfect.

    `ece` is the expected calibration error over equal bins (Naeini, Cooper and Hauskrecht, AAAI 2015), `brier` the
    mean square of claim less truth (Brier, 1950). Bins without claims are left out.
    """

    count: int
    ece: float
    brier: float
    bins: tuple[ConfidenceBin, ...]

    def sure(self) -> tuple[ConfidenceCut, ...]:
        """For the lower end of each bin, what is left from there up."""
        found, count, right = list[ConfidenceCut](), 0, 0.0
        for one in reversed(self.bins):
            count, right = count + one.count, right + one.count * one.observed
            found.append(ConfidenceCut(one.low, count / self.count, right / count))
        return tuple(reversed(found))


def reliability(claims: Floats, right: Bools) -> Reliability:
    """How well claims, 0 to 1 [N], agree with what was right, [N]; raises ValueError when there are none."""
    if len(claims) == 0:
        raise ValueError("nothing was claimed: there is no reliability to measure")
    places = np.minimum((claims * BINS).astype(int), BINS - 1)
    bins = tuple(_bin(n, claims[places == n], right[places == n]) for n in range(BINS) if np.any(places == n))
    ece = sum(one.count * abs(one.expected - one.observed) for one in bins) / len(claims)
    return Reliability(len(claims), ece, float(np.mean((claims - right) ** 2)), bins)


def _bin(place: int, claims: Floats, right: Bools) -> ConfidenceBin:
    return ConfidenceBin(place / BINS, (place + 1) / BINS, len(claims), float(claims.mean()), float(right.mean()))
