"""How well projections of pictures find their own kind: the measures of `evaluate`, on features at hand."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from consumers.quality.evaluation.ranking_metrics import DEPTH, Relevance, per_query

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]
Scores = dict[str, NDArray[np.float64]]
"""Measures of `evaluate`, one value for each query."""

MOST_QUERIES = 1_000
"""More would say little more: the standard error is below .016."""
CHUNK = 100
"""Queries at once: their likeness to all others stays small."""


@dataclass(frozen=True, eq=False)
class ValidationSet:
    """Which pictures ask and which may answer, by their places; a picture never answers itself."""

    asking: Integers
    among: Integers
    labels: Integers

    def judge(self, rows: Floats) -> Scores:
        """The measures of pictures as unit rows [N, k], each query by its nearest."""
        return per_query(Relevance(self._right(rows), self._relevant()))

    def _right(self, rows: Floats) -> NDArray[np.bool_]:
        chunks = [self.asking[n : n + CHUNK] for n in range(0, len(self.asking), CHUNK)]
        right = np.concatenate([self._hits(rows, asking) for asking in chunks])
        return np.pad(right, ((0, 0), (0, DEPTH - right.shape[1])))

    def _hits(self, rows: Floats, asking: Integers) -> NDArray[np.bool_]:
        """Whether each of the nearest has the label asked for, [A, DEPTH or fewer]."""
        likeness = rows[asking] @ rows[self.among].T
        itself = asking[:, None] == self.among
        nearest = np.argsort(np.where(itself, -np.inf, likeness), axis=1, kind="stable")[:, : -1 - DEPTH : -1]
        same = self.labels[self.among] == self.labels[asking][:, None]
        right: NDArray[np.bool_] = np.take_along_axis(same & ~itself, nearest, axis=1)
        return right

    def _relevant(self) -> Integers:
        counts = np.bincount(self.labels[self.among], minlength=int(self.labels.max()) + 1)
        return counts[self.labels[self.asking]] - np.isin(self.asking, self.among)


def draw_validation_set(
    asking: Sequence[int] | Integers, among: Integers, labels: Integers, seed: int
) -> ValidationSet:
    """A quiz of the pictures asking, of some of them where there are many."""
    places = np.random.default_rng(seed).permutation(np.asarray(asking, np.int64))[:MOST_QUERIES]
    return ValidationSet(np.sort(places), among, labels)


def means(scores: Scores) -> dict[str, float]:
    """The mean of each measure over the queries."""
    return {name: round(float(values.mean()), 4) for name, values in scores.items()}
