"""How sure a mean over queries is: percentile bootstrap, for one run and for two runs on the same queries."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

RESAMPLES = 2_000
CHUNK = 200
"""Resamples at once: their counts, [CHUNK, Q], stay small."""
TAILS = (2.5, 97.5)
"""Percentiles that hold 95 % of the resampled means (Efron, Tibshirani, An Introduction to the Bootstrap, 1993)."""


@dataclass(frozen=True)
class Estimate:
    """A mean over queries, and the ends of its 95 % interval."""

    value: float
    low: float
    high: float


def estimates(values: Mapping[str, Floats], seed: int) -> dict[str, Estimate]:
    """The mean of each measure with its interval; every measure is resampled with the same queries.

    Values are [Q], all of one length; raises ValueError when there are no queries.
    """
    table = np.stack(list(values.values()), axis=1) if values else np.empty((0, 0))
    if len(table) == 0:
        raise ValueError("nothing to estimate: there are no queries")
    low, high = np.percentile(_resampled_means(table, seed), TAILS, axis=0)
    ends = zip(values, table.mean(axis=0), low, high, strict=True)
    return {name: Estimate(float(mean), float(a), float(b)) for name, mean, a, b in ends}


def estimate(values: NDArray[np.generic], seed: int) -> Estimate:
    """The mean of one measure, [Q], with its interval."""
    return estimates({"": np.asarray(values, np.float64)}, seed)[""]


def differences(mine: Mapping[str, Floats], other: Mapping[str, Floats], seed: int) -> dict[str, Estimate]:
    """Mine less the other's, query by query: far narrower than two intervals side by side."""
    return estimates({name: values - other[name] for name, values in mine.items() if name in other}, seed)


def _resampled_means(table: Floats, seed: int) -> Floats:
    """Means over queries drawn with replacement, [RESAMPLES, measures]."""
    chance, queries = np.random.default_rng(seed), len(table)
    even = np.full(queries, 1 / queries)
    means = [chance.multinomial(queries, even, CHUNK) @ table / queries for _ in range(RESAMPLES // CHUNK)]
    return np.concatenate(means)
