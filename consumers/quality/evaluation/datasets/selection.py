"""Dataset selection: reads a public set entry by entry, and takes all of it or a sample that stays judgeable."""

import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from consumers.quality.evaluation.datasets.retrieval_dataset import Entry, RetrievalDataset, SkippedEntry
from consumers.quality.evaluation.labelled_dataset import LabelledImage
from consumers.quality.evaluation.qrels import Qrels, make_qrels
from infra.config.errors import BadInput

MAX_PICTURES = 2_000_000
"""Pictures of a catalogue; their entries take about 1.5 GB, and their index many times that."""
MAX_REPORTED = 1_000
"""The most skipped entries that are stored, so that each counts once: the same list is often read twice."""


@dataclass(frozen=True)
class DatasetSelection:
    """The queries and the catalogue that were taken, with unique names; `skipped` has the entries that were not.

    `qrels` is None for a set in which labels decide.
    """

    queries: list[LabelledImage]
    catalogue: list[LabelledImage]
    qrels: Qrels | None
    skipped: tuple[SkippedEntry, ...]


@dataclass
class SkipLog:
    """Collects skipped entries by name, at most MAX_REPORTED."""

    entries: dict[str, SkippedEntry] = field(default_factory=dict)

    def add(self, entry: SkippedEntry) -> None:
        """Collect an entry, once."""
        if len(self.entries) < MAX_REPORTED:
            self.entries.setdefault(entry.name, entry)

    def images(self, entries: Iterable[Entry]) -> Iterator[LabelledImage]:
        """The usable ones of some entries; the others are collected."""
        for entry in entries:
            if isinstance(entry, SkippedEntry):
                self.add(entry)
            else:
                yield entry


class Reservoir:
    """A uniform sample of a stream of unknown length, in the stream's order (Vitter 1985, algorithm R).

    A size of 0 takes everything. Raises BadInput for more than MAX_PICTURES.
    """

    def __init__(self, size: int, seed: int) -> None:
        self._size, self._random, self._offered = size, random.Random(seed), 0
        self._rows: list[tuple[int, LabelledImage]] = []

    def add(self, number: int, row: LabelledImage) -> None:
        """Offer a row, with its number in the stream."""
        self._offered += 1
        if not self._size or len(self._rows) < self._size:
            self._rows.append((number, row))
        elif (place := self._random.randrange(self._offered)) < self._size:
            self._rows[place] = (number, row)
        if len(self._rows) > MAX_PICTURES:
            raise BadInput(f"the set has more than {MAX_PICTURES:,} pictures: take a sample with --limit")

    def rows(self) -> list[tuple[int, LabelledImage]]:
        """The sampled rows with their numbers, ascending."""
        return sorted(self._rows, key=lambda numbered: numbered[0])


def select(dataset: RetrievalDataset, limit: int, seed: int) -> DatasetSelection:
    """All queries and pictures of a set, or with a limit: that many queries at random, everything that is relevant
    to them, and that many other pictures at random. Raises BadInput when no query or no picture is left.
    """
    skipped = SkipLog()
    queries = _unique(_select_queries(dataset, limit, seed, skipped), "queries", skipped)
    is_relevant = _relevance_to(dataset, queries)
    relevant, others = Reservoir(0, seed), Reservoir(limit, seed)
    for number, row in enumerate(skipped.images(dataset.catalogue())):
        (relevant if is_relevant(row) else others).add(number, row)
    numbered = sorted([*relevant.rows(), *others.rows()], key=lambda one: one[0])
    catalogue = _unique([row for _, row in numbered], "catalogue", skipped)
    for rows, role in ((queries, "queries"), (catalogue, "catalogue")):
        if not rows:
            raise BadInput(f"{dataset.name}, split {dataset.split}, has no {role}{_first_reason(skipped)}")
    qrels = None
    if dataset.judgements is not None:
        qrels = make_qrels(dataset.judgements(), [row.image for row in queries], [row.image for row in catalogue])
    return DatasetSelection(queries, catalogue, qrels, tuple(skipped.entries.values()))


def _select_queries(dataset: RetrievalDataset, limit: int, seed: int, skipped: SkipLog) -> list[LabelledImage]:
    """The queries; of a set with judgements, those that have one, as trec_eval and MTEB take them."""
    sample = Reservoir(limit, seed)
    with_relevant = (
        None if dataset.judgements is None else {each.query for each in dataset.judgements() if each.grade > 0}
    )
    for number, row in enumerate(skipped.images(dataset.queries())):
        if with_relevant is None or row.image in with_relevant:
            sample.add(number, row)
    return [row for _, row in sample.rows()]


def _relevance_to(dataset: RetrievalDataset, queries: list[LabelledImage]) -> Callable[[LabelledImage], bool]:
    """Whether a picture is relevant to one of the queries."""
    if dataset.judgements is None:
        labels = {row.label for row in queries} - {""}
        return lambda row: row.label in labels
    names = {row.image for row in queries}
    relevant = {each.picture for each in dataset.judgements() if each.grade > 0 and each.query in names}
    return lambda row: row.image in relevant


def _unique(rows: list[LabelledImage], role: str, skipped: SkipLog) -> list[LabelledImage]:
    """The rows without those whose name was there before."""
    found: dict[str, LabelledImage] = {}
    for row in rows:
        if found.setdefault(row.image, row) is not row:
            skipped.add(SkippedEntry(f"{row.image} ({role})", "it is listed twice"))
    return list(found.values())


def _first_reason(skipped: SkipLog) -> str:
    if not skipped.entries:
        return ": see that the set is complete, or name another --split"
    first = next(iter(skipped.entries.values()))
    return f" that can be used: {first.name}: {first.reason}"
