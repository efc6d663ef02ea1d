"""Ground truth: a catalogue, queries with relevant items in it, and the relevance judgement of the hits."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from consumers.quality.evaluation.labelled_dataset import LabelledImage
from consumers.quality.evaluation.ranking_metrics import DEPTH, Relevance
from consumers.quality.evaluation.system_under_test import SearchQuestion, catalogue_id, catalogue_position
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

LabelFunction = Callable[[LabelledImage], str]
"""The value in which a hit must equal the query to be relevant; an empty value equals nothing."""


def label_of(row: LabelledImage) -> str:
    """The default criterion of relevance: the same label."""
    return row.label


def category_of(row: LabelledImage) -> str:
    """The criterion for confidence and for predicted categories."""
    return row.category


def colour_of(row: LabelledImage) -> str:
    """The colour, in the words of the table."""
    return row.colour


@dataclass(frozen=True)
class GroundTruth:
    """The catalogue and the queries; `seed` is used for every random choice."""

    catalogue: tuple[LabelledImage, ...]
    queries: tuple[LabelledImage, ...]
    seed: int = 0

    @cached_property
    def positions(self) -> dict[Path, int]:
        """The catalogue positions by resolved path."""
        return {row.path.resolve(): position for position, row in enumerate(self.catalogue)}

    def position_of(self, row: LabelledImage) -> int | None:
        """The catalogue position of the row's own file, which its own search must not return; None if absent."""
        return self.positions.get(row.path.resolve())

    def filters(self, row: LabelledImage, **filters: object) -> Filters:
        """The filters of a search by this row: the given ones, without the row's own file."""
        own = self.position_of(row)
        return Filters.model_validate({"exclude_items": () if own is None else (catalogue_id(own),), **filters})

    def questions(self, weights: Weights, rows: Sequence[LabelledImage] | None = None) -> list[SearchQuestion]:
        """An unfiltered search by each of the rows, by default by each of the queries."""
        return [
            SearchQuestion(row.path.read_bytes, weights, self.filters(row))
            for row in (self.queries if rows is None else rows)
        ]

    def count_relevant(self, rows: Iterable[LabelledImage], value: LabelFunction = label_of) -> list[int]:
        """The number of relevant pictures in the catalogue for each row, without the row itself."""
        counts = Counter(value(row) for row in self.catalogue)
        return [counts[value(row)] - (self.position_of(row) is not None) if value(row) else 0 for row in rows]

    def relevance_of(
        self, rows: Sequence[LabelledImage], results: Sequence[SearchResult], value: LabelFunction = label_of
    ) -> Relevance:
        """The relevance of the hits of each row's result."""
        correct = np.zeros((len(rows), DEPTH), bool)
        for n, (row, result) in enumerate(zip(rows, results, strict=True)):
            for rank, hit in enumerate(result.hits[:DEPTH]):
                correct[n, rank] = value(row) != "" and value(
                    self.catalogue[catalogue_position(hit.item_id)]
                ) == value(row)
        return Relevance(correct, np.array(self.count_relevant(rows, value), np.int64))


def fair_ground_truth(
    catalogue: Sequence[LabelledImage], queries: Sequence[LabelledImage], seed: int
) -> GroundTruth:
    """The ground truth without the queries that have no relevant picture; raises BadInput when none has one."""
    truth = GroundTruth(tuple(catalogue), tuple(queries), seed)
    answerable = tuple(row for row, count in zip(queries, truth.count_relevant(queries), strict=True) if count)
    if not answerable:
        examples = [sorted({row.label for row in rows})[:3] for rows in (catalogue, queries)]
        raise BadInput(
            f"no query has its label in the catalogue (which has {', '.join(examples[0])}; the queries have "
            f"{', '.join(examples[1])}): check --label, and that both tables speak of the same things"
        )
    return GroundTruth(truth.catalogue, answerable, seed)
