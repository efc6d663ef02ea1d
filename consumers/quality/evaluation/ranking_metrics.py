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

    `grades` are those of the hits [Q, DEPTH], 0 for hits that are not relevant, and `best_grades` those of the best
    possible order [Q, DEPTH]; None: all relevant items have the grade 1. Raises ValueError when the shapes do not
    match.
    """

    right: Mask
    relevant: Integers
    grades: Integers | None = None
    best_grades: Integers | None = None

    def __post_init__(self) -> None:
        for values in (self.right, self.grades, self.best_grades):
            if values is not None and values.shape != (len(self.relevant), DEPTH):
                raise ValueError(f"a shape is {values.shape} for {len(self.relevant)} queries, not [Q, {DEPTH}]")

    def subset(self, selected: Sequence[int] | Mask) -> "Relevance":
        """The relevance of some of the queries, by row number or mask."""
        grades, best = (None if values is None else values[selected] for values in (self.grades, self.best_grades))
        return Relevance(self.right[selected], self.relevant[selected], grades, best)


def per_query(relevance: Relevance) -> dict[str, Doubles]:
    """The values of each measure, 0 to 1, [Q]; a query without any relevant item scores 0.

    recall@k: 1 when a relevant hit is among the first k. precision@k: relevant hits among the first k, divided by
    k, so that a result does not gain by being short. mAP@10: the mean over min(relevant, 10) of the precision at
    each relevant hit. nDCG@10: gains are the grades, as in trec_eval, discount log2(rank + 1), divided by that of
    the best possible order (Manning, Raghavan and Schuetze, Introduction to Information Retrieval, 2008, ch. 8).
    """
    correct = relevance.right.astype(np.float64)
    values: dict[str, Doubles] = {f"recall@{k}": correct[:, :k].max(axis=1) for k in CUTS}
    values |= {f"precision@{k}": correct[:, :k].mean(axis=1) for k in CUTS}
    possible = np.clip(relevance.relevant, 1, DEPTH)
    ranks = np.arange(1, DEPTH + 1)
    values["mAP@10"] = (correct * np.cumsum(correct, axis=1) / ranks).sum(axis=1) / possible
    discounts = 1 / np.log2(ranks + 1)
    if relevance.grades is None or relevance.best_grades is None:
        values["nDCG@10"] = correct @ discounts / np.cumsum(discounts)[possible - 1]
    else:
        best = relevance.best_grades @ discounts
        values["nDCG@10"] = relevance.grades @ discounts / np.where(best > 0, best, 1)
    return values
