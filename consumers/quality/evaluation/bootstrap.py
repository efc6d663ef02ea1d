"""Bootstrap: percentile intervals for means over queries, of one run or of the difference of two runs."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from infra.array_types import Doubles

RESAMPLES = 2_000
CHUNK = 200
"""Resamples per chunk, which limits the size of their counts, [CHUNK, Q]."""
TAILS = (2.5, 97.5)
"""Percentiles that bound 95 % of resampled means (Efron, Tibshirani, An Introduction to the Bootstrap, 1993)."""


@dataclass(frozen=True)
class Estimate:
    """A mean over queries, and the bounds of its 95 % interval."""

    value: float
    low: float
    high: float


def estimates(values: Mapping[str, Doubles], seed: int) -> dict[str, Estimate]:
    """The mean of each measure with its interval; all measures are resampled with the same queries.

    All values have the shape [Q]; raises ValueError when there are no queries.
    """
    table = np.stack(list(values.values()), axis=1) if values else np.empty((0, 0))
    if len(table) == 0:
        raise ValueError("nothing to estimate: there are no queries")
    low, high = np.percentile(_resampled_means(table, seed), TAILS, axis=0)
    rows = zip(values, table.mean(axis=0), low, high, strict=True)
    return {name: Estimate(float(mean), float(lower), float(upper)) for name, mean, lower, upper in rows}


def estimate(values: NDArray[np.generic], seed: int) -> Estimate:
    """The mean of one measure, [Q], with its interval."""
    return estimates({"": np.asarray(values, np.float64)}, seed)[""]


def differences(values: Mapping[str, Doubles], baseline: Mapping[str, Doubles], seed: int) -> dict[str, Estimate]:
    """The mean of values minus baseline for each measure that both have, paired by query.

    The paired interval is much narrower than the intervals of the two runs would suggest.
    """
    return estimates({name: own - baseline[name] for name, own in values.items() if name in baseline}, seed)


def _resampled_means(table: Doubles, seed: int) -> Doubles:
    """Means over queries drawn with replacement, [RESAMPLES, measures]."""
    rng, queries = np.random.default_rng(seed), len(table)
    probabilities = np.full(queries, 1 / queries)
    means = [rng.multinomial(queries, probabilities, CHUNK) @ table / queries for _ in range(RESAMPLES // CHUNK)]
    return np.concatenate(means)
