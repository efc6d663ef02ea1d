"""Validation: computes the ranking measures of `evaluate` directly on projected features, without a system."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from consumers.quality.evaluation.ranking_metrics import DEPTH, Relevance, per_query
from infra.array_types import Floats, Integers

Scores = dict[str, NDArray[np.float64]]
"""Measures of `evaluate`, one value for each query."""

MOST_QUERIES = 1_000
"""More queries would add little precision: with these the standard error is below .016."""
CHUNK = 100
"""Queries per chunk, which limits the size of their similarity matrix."""


@dataclass(frozen=True, eq=False)
class ValidationSet:
    """Row numbers of the queries and of the candidate hits, and all labels [N]; no picture is a hit of itself."""

    queries: Integers
    candidates: Integers
    labels: Integers

    def score(self, rows: Floats) -> Scores:
        """The measures of all pictures as unit rows [N, k]; candidates are ranked by cosine."""
        return per_query(Relevance(self._correct_hits(rows), self._relevant_counts()))

    def _correct_hits(self, rows: Floats) -> NDArray[np.bool_]:
        """Whether each hit has the label of its query, [Q, DEPTH], False past the last candidate."""
        chunks = [self.queries[n : n + CHUNK] for n in range(0, len(self.queries), CHUNK)]
        correct = np.concatenate([self._rank(rows, queries) for queries in chunks])
        return np.pad(correct, ((0, 0), (0, DEPTH - correct.shape[1])))

    def _rank(self, rows: Floats, queries: Integers) -> NDArray[np.bool_]:
        """Whether each of the nearest candidates has the label of its query, [queries, DEPTH or fewer]."""
        similarity = rows[queries] @ rows[self.candidates].T
        is_query = queries[:, None] == self.candidates
        nearest = np.argsort(np.where(is_query, -np.inf, similarity), axis=1, kind="stable")[:, : -1 - DEPTH : -1]
        same_label = self.labels[self.candidates] == self.labels[queries][:, None]
        correct: NDArray[np.bool_] = np.take_along_axis(same_label & ~is_query, nearest, axis=1)
        return correct

    def _relevant_counts(self) -> Integers:
        counts = np.bincount(self.labels[self.candidates], minlength=int(self.labels.max()) + 1)
        return counts[self.labels[self.queries]] - np.isin(self.queries, self.candidates)


def draw_validation_set(
    queries: Sequence[int] | Integers, candidates: Integers, labels: Integers, seed: int
) -> ValidationSet:
    """A validation set with a random sample of at most MOST_QUERIES of the queries."""
    sampled = np.random.default_rng(seed).permutation(np.asarray(queries, np.int64))[:MOST_QUERIES]
    return ValidationSet(np.sort(sampled), candidates, labels)


def mean_scores(scores: Scores) -> dict[str, float]:
    """The mean of each measure over the queries, rounded to four digits."""
    return {name: round(float(values.mean()), 4) for name, values in scores.items()}
