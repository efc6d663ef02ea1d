"""Ground truth: a catalogue, queries with relevant items in it, and the relevance judgement of the hits."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from consumers.quality.evaluation.labelled_dataset import LabelledImage
from consumers.quality.evaluation.qrels import Qrels
from consumers.quality.evaluation.ranking_metrics import DEPTH, Relevance
from consumers.quality.evaluation.system_under_test import SearchQuestion, catalogue_id, catalogue_position
from infra.array_types import Integers
from infra.config.errors import BadInput
from schemas.filters import Filters
from schemas.ranking import INTENTS, Weights
from schemas.results import SearchResult

SIMILAR = "similar"
OBJECT = "object alone"
WEIGHTINGS: dict[str, Weights] = {OBJECT: Weights(object=1)} | {
    str(name): weights for name, weights in INTENTS.items()
}
"""The weightings that are evaluated: the object part alone, and the weighting of each intent."""

NO_POSITIONS: Integers = np.empty(0, np.int64)

LabelFunction = Callable[[LabelledImage], str]
"""The value in which a hit must equal the query to be relevant; an empty value equals nothing."""


def category_of(row: LabelledImage) -> str:
    """The criterion for confidence and for predicted categories."""
    return row.category


def colour_of(row: LabelledImage) -> str:
    """The colour, in the words of the table."""
    return row.colour


@dataclass(frozen=True)
class GroundTruth:
    """The catalogue and the queries; `seed` is used for every random choice.

    `qrels` has explicit judgements, by the names of the pictures; None: pictures with the same label are relevant.
    """

    catalogue: tuple[LabelledImage, ...]
    queries: tuple[LabelledImage, ...]
    seed: int = 0
    qrels: Qrels | None = None

    @cached_property
    def positions(self) -> dict[str, int]:
        """The catalogue positions by picture."""
        return {row.picture_key: position for position, row in enumerate(self.catalogue)}

    @cached_property
    def positions_by_label(self) -> dict[str, Integers]:
        """The catalogue positions of each label, ascending."""
        found: dict[str, list[int]] = defaultdict(list)
        for position, row in enumerate(self.catalogue):
            if row.label:
                found[row.label].append(position)
        return {label: np.array(positions, np.int64) for label, positions in found.items()}

    def position_of(self, row: LabelledImage) -> int | None:
        """The catalogue position of the row's own picture, which its own search must not return; None if absent."""
        return self.positions.get(row.picture_key)

    def qrels_of(self, row: LabelledImage) -> tuple[Integers, Integers]:
        """The catalogue positions that are relevant to a row, ascending, without its own, and their grades."""
        if self.qrels is None:
            positions = self.positions_by_label.get(row.label, NO_POSITIONS)
            grades = np.ones_like(positions)
        else:
            positions, grades = self.qrels.of(row.image)
        own = self.position_of(row)
        others = positions != (-1 if own is None else own)
        return positions[others], grades[others]

    def filters(self, row: LabelledImage, **filters: object) -> Filters:
        """The filters of a search by this row: the given ones, without the row's own file."""
        own = self.position_of(row)
        return Filters.model_validate({"exclude_items": () if own is None else (catalogue_id(own),), **filters})

    def questions(self, weights: Weights, rows: Sequence[LabelledImage] | None = None) -> list[SearchQuestion]:
        """An unfiltered search by each of the rows, by default by each of the queries."""
        return [
            SearchQuestion(row.read, weights, self.filters(row)) for row in (self.queries if rows is None else rows)
        ]

    def relevance_of(
        self, rows: Sequence[LabelledImage], results: Iterable[SearchResult], value: LabelFunction | None = None
    ) -> Relevance:
        """The relevance of the hits of each row's result; with `value`, hits with the row's value are relevant."""
        if value is not None:
            return self._agreement(rows, results, value)
        grades, best = np.zeros((len(rows), DEPTH), np.int64), np.zeros((len(rows), DEPTH), np.int64)
        counts = np.zeros(len(rows), np.int64)
        for n, (row, result) in enumerate(zip(rows, results, strict=True)):
            relevant, of_relevant = self.qrels_of(row)
            found = [catalogue_position(hit.item_id) for hit in result.hits[:DEPTH]]
            counts[n] = len(relevant)
            grades[n, : len(found)] = grades_at(relevant, of_relevant, np.array(found, np.int64))
            highest = np.sort(of_relevant)[::-1][:DEPTH]
            best[n, : len(highest)] = highest
        return Relevance(grades > 0, counts, grades, best)

    def _agreement(
        self, rows: Sequence[LabelledImage], results: Iterable[SearchResult], value: LabelFunction
    ) -> Relevance:
        """The relevance of hits if those with the row's value are relevant; an empty value equals nothing."""
        counts = Counter(value(row) for row in self.catalogue)
        relevant = [counts[value(row)] - (self.position_of(row) is not None) if value(row) else 0 for row in rows]
        correct = np.zeros((len(rows), DEPTH), bool)
        for n, (row, result) in enumerate(zip(rows, results, strict=True)):
            for rank, hit in enumerate(result.hits[:DEPTH]):
                other = self.catalogue[catalogue_position(hit.item_id)]
                correct[n, rank] = value(row) != "" and value(other) == value(row)
        return Relevance(correct, np.array(relevant, np.int64))


def grades_at(relevant: Integers, grades: Integers, positions: Integers) -> Integers:
    """The grade of each position, 0 for those that are not relevant; `relevant` is ascending, with its grades."""
    if not len(relevant):
        return np.zeros_like(positions)
    places = np.minimum(np.searchsorted(relevant, positions), len(relevant) - 1)
    found: Integers = np.where(relevant[places] == positions, grades[places], 0)
    return found


def answerable_queries(truth: GroundTruth) -> tuple[LabelledImage, ...]:
    """The queries that have a relevant picture; raises BadInput when none has one."""
    answerable = tuple(row for row in truth.queries if len(truth.qrels_of(row)[0]))
    if not answerable:
        examples = [sorted({row.label for row in rows})[:3] for rows in (truth.catalogue, truth.queries)]
        raise BadInput(
            f"no query has its label in the catalogue (which has {', '.join(examples[0])}; the queries have "
            f"{', '.join(examples[1])}): check --label, and that both speak of the same things"
            if truth.qrels is None
            else "nothing that is relevant to a query is in the catalogue: see that the set is complete"
        )
    return answerable
