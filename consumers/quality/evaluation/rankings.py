"""Rankings: up to 1,000 hits of each query, compactly, and the official measure of a public set on them."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from consumers.quality.evaluation.ground_truth import SIMILAR, WEIGHTINGS, GroundTruth, grades_at
from consumers.quality.evaluation.system_under_test import (
    SearchQuestion,
    SystemUnderTest,
    TrackProgress,
    catalogue_position,
    search_each,
)
from infra.array_types import Doubles, Floats, Integers

PAGE = 100
"""The most hits of one search (`top_k` of schemas.searches.SearchRequest)."""
MAX_DEPTH = 1_000
"""The most hits that pages of a search reach (its `offset` is at most 900)."""


@dataclass(frozen=True)
class Measure:
    """A measure of the first `k` hits of a query, `k` from 1 to MAX_DEPTH.

    recall: whether one of them is relevant; its mean is also called top-k accuracy or hit rate.
    mAP: the mean, over min(relevant pictures, k), of the precision at each relevant hit.
    """

    kind: Literal["recall", "mAP"]
    k: int

    @property
    def name(self) -> str:
        """The name as in the tables, for example `recall@1`."""
        return f"{self.kind}@{self.k}"

    def of(self, right: Doubles, relevant: int) -> float:
        """The value for a query whose hits are relevant (1) or not (0), best first; `relevant` pictures exist."""
        first = right[: self.k]
        if not first.any():
            return 0.0
        if self.kind == "recall":
            return 1.0
        precisions = np.cumsum(first) / np.arange(1, len(first) + 1)
        return float((first * precisions).sum() / min(relevant, self.k))


@dataclass(frozen=True, eq=False)
class Rankings:
    """The hits of each query of a ground truth, best first, [Q, K]: catalogue positions, -1 past the end."""

    positions: Integers
    scores: Floats

    def values(self, truth: GroundTruth, measure: Measure) -> Doubles:
        """The measure for each query; 0 for one to which nothing is relevant."""
        found = np.zeros(len(truth.queries))
        for n, row in enumerate(truth.queries):
            relevant, grades = truth.qrels_of(row)
            right = (grades_at(relevant, grades, self.positions[n]) > 0).astype(np.float64)
            found[n] = measure.of(right, len(relevant))
        return found


def rank(truth: GroundTruth, system: SystemUnderTest, depth: int, track: TrackProgress) -> Rankings:
    """The first `depth` hits of each query with the weighting `similar`, page by page."""
    positions = np.full((len(truth.queries), depth), -1, np.int64)
    scores = np.zeros((len(truth.queries), depth), np.float32)
    unfinished = list(range(len(truth.queries)))
    for offset in range(0, depth, PAGE):
        size = min(PAGE, depth - offset)
        questions = [
            SearchQuestion(row.read, WEIGHTINGS[SIMILAR], truth.filters(row), offset=offset, top_k=size)
            for row in (truth.queries[n] for n in unfinished)
        ]
        results = search_each(system, questions, track, f"ranking from {offset + 1} on")
        full = []
        for n, result in zip(unfinished, results, strict=True):
            end = offset + len(result.hits)
            positions[n, offset:end] = [catalogue_position(hit.item_id) for hit in result.hits]
            scores[n, offset:end] = [hit.score for hit in result.hits]
            if len(result.hits) == size:
                full.append(n)
        unfinished = full
    return Rankings(positions, scores)
