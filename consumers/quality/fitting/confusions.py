"""Confusions: which labels a fitted encoder takes for each other on held-out pictures, with an example of each."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from consumers.quality.evaluation.failure_sheet import MAX_FAILURES, SearchFailure, name_of
from consumers.quality.evaluation.labelled_dataset import LabelledImage
from consumers.quality.fitting.validation import ValidationSet
from infra.array_types import Floats


@dataclass(frozen=True)
class Confusion:
    """Two labels: `count` of the `queries` of the first label have a first hit of the second.

    The example is the query with the most similar wrong first hit. `query`, `first` (this hit) and `right` (the
    best hit of the label of the query) are row numbers; `rank`, from 1, is that of `right`.
    """

    count: int
    queries: int
    query: int
    first: int
    right: int
    similarity: float
    rank: int

    def example(self, rows: Sequence[LabelledImage]) -> SearchFailure:
        """The example as the sheet of failures draws it; `rows` are the pictures by row number."""
        query, first, right = (rows[number] for number in (self.query, self.first, self.right))
        captions = (
            (name_of(query), f"{self.count} of {self.queries} held-out pictures"),
            (name_of(first), f"similarity {self.similarity:.2f}"),
            (name_of(right), f"hit {self.rank}"),
        )
        return SearchFailure(query, first, right, self.similarity, self.rank, captions)

    def describe(self, rows: Sequence[LabelledImage]) -> dict[str, object]:
        """The confusion with the names of labels and pictures, for report.json."""
        query, first, right = (rows[number] for number in (self.query, self.first, self.right))
        return {
            "label": query.label, "other": first.label, "count": self.count, "queries": self.queries,
            "query": query.image, "first": first.image, "right": right.image, "rank": self.rank,
        }  # fmt: skip


def find_confusions(rows: Floats, validation_set: ValidationSet) -> list[Confusion]:
    """The pairs of confused labels, most frequent first, at most MAX_FAILURES; `rows` are unit rows [N, k].

    Queries whose label no other candidate has are left out.
    """
    hits, similarities = validation_set.rank(rows, 1)
    labels, queries = validation_set.labels, validation_set.queries
    is_wrong = (labels[hits[:, 0]] != labels[queries]) & (validation_set.relevant_counts() > 0)
    pairs = defaultdict[tuple[int, int], list[int]](list)
    for number in np.flatnonzero(is_wrong).tolist():
        pairs[int(labels[queries[number]]), int(labels[hits[number, 0]])].append(number)
    totals, found = np.bincount(labels[queries], minlength=int(labels.max()) + 1), []
    for (label, _), numbers in pairs.items():
        example = max(numbers, key=lambda number: float(similarities[number, 0]))
        query, first = int(queries[example]), int(hits[example, 0])
        right, rank = _best_right(rows, validation_set, query)
        similarity = float(similarities[example, 0])
        found.append(Confusion(len(numbers), int(totals[label]), query, first, right, similarity, rank))
    return sorted(found, key=lambda each: (-each.count, -each.similarity))[:MAX_FAILURES]


def _best_right(rows: Floats, validation_set: ValidationSet, query: int) -> tuple[int, int]:
    """Return the row number and the rank, from 1, of the best candidate with the label of the query."""
    candidates = validation_set.candidates[validation_set.candidates != query]
    ranked = candidates[np.argsort(-(rows[candidates] @ rows[query]), kind="stable")]
    place = int((validation_set.labels[ranked] == validation_set.labels[query]).argmax())
    return int(ranked[place]), place + 1
