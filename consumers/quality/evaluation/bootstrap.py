"""Bootstrap: 95 % intervals by queries drawn with replacement, for means, differences and other statistics."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from infra.array_types import Doubles

RESAMPLES = 2_000
CHUNK = 200
"""Resamples per chunk, which limits the size of their counts, [CHUNK, Q]."""
TAILS = (2.5, 97.5)
"""Percentiles that bound 95 % of resampled means (Efron, Tibshirani, An Introduction to the Bootstrap, 1993)."""

Statistic = Callable[[Doubles], Doubles]
"""Function from how often each query was drawn, [R, Q], to the values of M statistics in each resample, [R, M]."""


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
    low, high = np.percentile(resample(lambda drawn: drawn @ table / len(table), len(table), seed), TAILS, axis=0)
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


def resample(statistic: Statistic, queries: int, seed: int) -> Doubles:
    """The statistics of queries drawn with replacement, [RESAMPLES, M]."""
    rng = np.random.default_rng(seed)
    probabilities = np.full(queries, 1 / queries)
    chunks = (rng.multinomial(queries, probabilities, CHUNK).astype(np.float64) for _ in range(RESAMPLES // CHUNK))
    return np.concatenate([statistic(drawn) for drawn in chunks])
