"""Measures of ranked answers, one value for each query: recall, precision, average precision and nDCG."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Integers = NDArray[np.int64]

DEPTH = 10
"""How many hits of an answer are judged."""
CUTS = (1, 5, DEPTH)

MAIN = ("recall@1", "precision@1", "mAP@10")
"""What must not get worse."""


@dataclass(frozen=True, eq=False)
class Relevance:
    """Which hits are right, [Q, DEPTH] best first (False past the end), and how many right ones there are, [Q]."""

    right: Bools
    relevant: Integers

    def __post_init__(self) -> None:
        if self.right.shape != (len(self.relevant), DEPTH):
            raise ValueError(f"right is {self.right.shape} for {len(self.relevant)} queries, not [Q, {DEPTH}]")

    def only(self, chosen: Sequence[int] | Bools) -> "Relevance":
        """Some of the queries."""
        return Relevance(self.right[chosen], self.relevant[chosen])


def per_query(judged: Relevance) -> dict[str, Floats]:
    """Each measure's values, 0 to 1, [Q]; a query without any relevant item scores 0.

    recall@k: 1 when a right hit is among the first k. precision@k: share of k that is right, so that an answer
    cannot gain by being short. mAP@10: mean over min(relevant, 10) of the precision at each right hit. nDCG@10:
    gains of 1, discount log2(rank + 1), over the best possible order (Manning, Raghavan and Schuetze,
    Introduction to Information Retrieval, 2008, chapter 8).
    """
    right = judged.right.astype(np.float64)
    found: dict[str, Floats] = {f"recall@{k}": right[:, :k].max(axis=1) for k in CUTS}
    found |= {f"precision@{k}": right[:, :k].mean(axis=1) for k in CUTS}
    possible = np.clip(judged.relevant, 1, DEPTH)
    ranks = np.arange(1, DEPTH + 1)
    found["mAP@10"] = (right * np.cumsum(right, axis=1) / ranks).sum(axis=1) / possible
    gains = 1 / np.log2(ranks + 1)
    found["nDCG@10"] = right @ gains / np.cumsum(gains)[possible - 1]
    return found
