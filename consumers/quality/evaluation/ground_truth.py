"""A trial: a catalogue, queries that have a right answer in it, and the judge of what comes back."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from consumers.quality.evaluation.labelled_dataset import LabelledImage
from consumers.quality.evaluation.ranking_metrics import DEPTH, Relevance
from consumers.quality.evaluation.system_under_test import SearchQuestion, catalogue_id, place_of
from infra.console import BadInput
from schemas.filters import Filters
from schemas.ranking import INTENTS, Weights
from schemas.results import SearchResult

SIMILAR = "similar"
OBJECT = "object alone"
WEIGHTINGS: dict[str, Weights] = {OBJECT: Weights(object=1)} | {str(name): given for name, given in INTENTS.items()}
"""What is tried: the object part by itself, and the weighting of each intent."""

Value = Callable[[LabelledImage], str]
"""What must agree for a hit to be right; an empty value agrees with nothing."""


def label_of(row: LabelledImage) -> str:
    """The usual judge: the same label."""
    return row.label


def category_of(row: LabelledImage) -> str:
    """The judge of confidence and of predicted categories."""
    return row.category


def colour_of(row: LabelledImage) -> str:
    """The colour as the table calls it."""
    return row.colour


@dataclass(frozen=True)
class GroundTruth:
    """Pictures to search among, and pictures to search by; `seed` is that of every random choice."""

    catalogue: tuple[LabelledImage, ...]
    queries: tuple[LabelledImage, ...]
    seed: int = 0

    @cached_property
    def places(self) -> dict[Path, int]:
        """Where a file stands in the catalogue."""
        return {row.path.resolve(): place for place, row in enumerate(self.catalogue)}

    def itself(self, row: LabelledImage) -> int | None:
        """The place of the very same file in the catalogue: it is never a hit of its own."""
        return self.places.get(row.path.resolve())

    def filters(self, row: LabelledImage, **wanted: object) -> Filters:
        """Filters of a search by this row."""
        own = self.itself(row)
        return Filters.model_validate({"exclude_items": () if own is None else (catalogue_id(own),), **wanted})

    def questions(self, weights: Weights, rows: Sequence[LabelledImage] | None = None) -> list[SearchQuestion]:
        """A plain search by each of the rows, by default the queries."""
        return [
            SearchQuestion(row.path.read_bytes, weights, self.filters(row))
            for row in (self.queries if rows is None else rows)
        ]

    def relevant(self, rows: Iterable[LabelledImage], value: Value = label_of) -> list[int]:
        """How many pictures of the catalogue are right for each row, itself not counted."""
        held = Counter(value(row) for row in self.catalogue)
        return [held[value(row)] - (self.itself(row) is not None) if value(row) else 0 for row in rows]

    def judge(
        self, rows: Sequence[LabelledImage], results: Sequence[SearchResult], value: Value = label_of
    ) -> Relevance:
        """Which hits of each row's result are right."""
        right = np.zeros((len(rows), DEPTH), bool)
        for n, (row, result) in enumerate(zip(rows, results, strict=True)):
            for rank, hit in enumerate(result.hits[:DEPTH]):
                right[n, rank] = value(row) != "" and value(self.catalogue[place_of(hit.item_id)]) == value(row)
        return Relevance(right, np.array(self.relevant(rows, value), np.int64))


def fair_ground_truth(
    catalogue: Sequence[LabelledImage], queries: Sequence[LabelledImage], seed: int
) -> GroundTruth:
    """The trial with those queries alone that have a right answer; raises BadInput when none has."""
    trial = GroundTruth(tuple(catalogue), tuple(queries), seed)
    answerable = tuple(row for row, count in zip(queries, trial.relevant(queries), strict=True) if count)
    if not answerable:
        examples = [sorted({row.label for row in rows})[:3] for rows in (catalogue, queries)]
        raise BadInput(
            f"no query has its label in the catalogue (which has {', '.join(examples[0])}; the queries have "
            f"{', '.join(examples[1])}): check --label, and that both tables speak of the same things"
        )
    return GroundTruth(trial.catalogue, answerable, seed)
