"""Qrels: explicit relevance judgements: which pictures of the catalogue are relevant to a query, with grades."""

from array import array
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from infra.array_types import Integers


@dataclass(frozen=True)
class Judgement:
    """The grade of a picture for a query, both by name; a grade of 0 or less means "not relevant"."""

    query: str
    picture: str
    grade: int


@dataclass(frozen=True, eq=False)
class Qrels:
    """The relevant pictures of each query as catalogue positions, in ascending order, with their grades from 1.

    All are stored in two arrays, since a set may have millions of judgements; those of the query with number n in
    `numbers` are from starts[n] to starts[n + 1].
    """

    numbers: Mapping[str, int]
    starts: Integers
    positions: Integers
    grades: Integers

    def of(self, query: str) -> tuple[Integers, Integers]:
        """The positions and the grades of a query by its name; empty when nothing is relevant to it."""
        number = self.numbers.get(query)
        part = slice(0, 0) if number is None else slice(self.starts[number], self.starts[number + 1])
        return self.positions[part], self.grades[part]

    def without(self, removed: Collection[int]) -> "Qrels":
        """The judgements of all pictures but those at the removed positions."""
        keep = ~np.isin(self.positions, np.fromiter(removed, np.int64))
        counts = np.concatenate([[0], np.cumsum(keep)])
        return Qrels(self.numbers, counts[self.starts], self.positions[keep], self.grades[keep])


def make_qrels(judgements: Iterable[Judgement], queries: Sequence[str], catalogue: Sequence[str]) -> Qrels:
    """The judgements of these queries and pictures, whose names are unique; others are ignored.

    Of two judgements of the same query and picture the first counts.
    """
    numbers = {name: number for number, name in enumerate(queries)}
    places = {name: position for position, name in enumerate(catalogue)}
    pairs, graded = array("q"), array("q")
    for judgement in judgements:
        number, position = numbers.get(judgement.query), places.get(judgement.picture)
        if number is not None and position is not None:
            pairs.append(number * len(places) + position)
            graded.append(judgement.grade)
    unique, first = np.unique(np.array(pairs, np.int64), return_index=True)
    grades = np.array(graded, np.int64)[first]
    unique, grades = unique[grades > 0], grades[grades > 0]
    owners, positions = np.divmod(unique, max(len(places), 1))
    starts = np.searchsorted(owners, np.arange(len(queries) + 1))
    return Qrels(numbers, starts.astype(np.int64), positions, grades)
