"""Ranking metrics: recall, precision, average precision and nDCG, with one value for each query."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from infra.array_types import Doubles, Integers, Mask

DEPTH = 10
"""The number of hits of a result that are judged."""
CUTS = (1, 5, DEPTH)

MAIN = ("recall@1", "precision@1", "mAP@10")
"""The measures for which a decrease is a regression."""


@dataclass(frozen=True, eq=False)
class Relevance:
    """Whether each hit is relevant [Q, DEPTH], best first, False past the end; and the count of relevant items [Q].

    Raises ValueError when the shapes do not match.
    """

    right: Mask
    relevant: Integers

    def __post_init__(self) -> None:
        if self.right.shape != (len(self.relevant), DEPTH):
            raise ValueError(f"right is {self.right.shape} for {len(self.relevant)} queries, not [Q, {DEPTH}]")

    def subset(self, selected: Sequence[int] | Mask) -> "Relevance":
        """The relevance of some of the queries, by row number or mask."""
        return Relevance(self.right[selected], self.relevant[selected])


def per_query(relevance: Relevance) -> dict[str, Doubles]:
    """The values of each measure, 0 to 1, [Q]; a query without any relevant item scores 0.

    recall@k: 1 when a relevant hit is among the first k. precision@k: relevant hits among the first k, divided by
    k, so that a result does not gain by being short. mAP@10: the mean over min(relevant, 10) of the precision at
    each relevant hit. nDCG@10: gains of 1, discount log2(rank + 1), divided by that of the best possible order
    (Manning, Raghavan and Schuetze, Introduction to Information Retrieval, 2008, chapter 8).
    """
    correct = relevance.right.astype(np.float64)
    values: dict[str, Doubles] = {f"recall@{k}": correct[:, :k].max(axis=1) for k in CUTS}
    values |= {f"precision@{k}": correct[:, :k].mean(axis=1) for k in CUTS}
    possible = np.clip(relevance.relevant, 1, DEPTH)
    ranks = np.arange(1, DEPTH + 1)
    values["mAP@10"] = (correct * np.cumsum(correct, axis=1) / ranks).sum(axis=1) / possible
    discounts = 1 / np.log2(ranks + 1)
    values["nDCG@10"] = correct @ discounts / np.cumsum(discounts)[possible - 1]
    return values
