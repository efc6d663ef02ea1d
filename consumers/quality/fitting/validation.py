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
        hits, similarities = self.rank(rows, DEPTH)
        # Past the last candidate comes the query itself, if it is one of them.
        right = (self.labels[hits] == self.labels[self.queries][:, None]) & np.isfinite(similarities)
        padding = ((0, 0), (0, DEPTH - right.shape[1]))
        return per_query(Relevance(np.pad(right, padding), self.relevant_counts()))

    def rank(self, rows: Floats, depth: int) -> tuple[Integers, Floats]:
        """The row numbers of the nearest candidates and their cosines, each [Q, depth or fewer], best first.

        `rows` are unit rows [N, k]. The cosine of a query with itself is -inf.
        """
        chunks = [self.queries[n : n + CHUNK] for n in range(0, len(self.queries), CHUNK)]
        ranked = [self._rank_chunk(rows, queries, depth) for queries in chunks]
        return np.concatenate([hits for hits, _ in ranked]), np.concatenate([cosines for _, cosines in ranked])

    def _rank_chunk(self, rows: Floats, queries: Integers, depth: int) -> tuple[Integers, Floats]:
        is_query = queries[:, None] == self.candidates
        cosines = np.where(is_query, -np.inf, rows[queries] @ rows[self.candidates].T)
        nearest = np.argsort(cosines, axis=1, kind="stable")[:, : -1 - depth : -1]
        return self.candidates[nearest], np.take_along_axis(cosines, nearest, axis=1).astype(np.float32)

    def relevant_counts(self) -> Integers:
        """The number of candidates with the label of each query, without the query itself, [Q]."""
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
