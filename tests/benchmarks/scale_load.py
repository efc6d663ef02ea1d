"""The load of tests/benchmarks/scale.py: searches at a steady rate, at rest and while vectors change."""

import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from infra.array_types import Floats
from tests.benchmarks.indexes import draw_vectors
from tests.benchmarks.scale_stores import CATEGORIES, TOP, Store, category_of
from tests.benchmarks.search_load import percentiles

SEED = 25
SEARCHES_PER_SECOND, WRITES_PER_SECOND, WRITE_BATCH = 10.0, 200, 20
SHARES = (0.3, 0.5)
"""Shares of inserts and of replacements among the writes; the rest are deletes."""
WARM_SEARCHES = 50


@dataclass
class Collection:
    """What a store should hold: vectors [capacity, d], of which `live` are there."""

    vectors: Floats
    live: NDArray[np.bool_]
    count: int
    """Number of vectors that were ever inserted."""

    def changes(self, rng: np.random.Generator) -> tuple[Mapping[int, Floats], Sequence[int]]:
        """The next WRITE_BATCH changes, which are noted here: new vectors by number, and deleted numbers."""
        written, deleted = dict[int, Floats](), list[int]()
        for lot in rng.random(WRITE_BATCH):
            number = int(rng.integers(self.count))
            if lot < SHARES[0] and self.count < len(self.vectors):
                number = self.count
                self.count += 1
            elif lot >= sum(SHARES) and self.live[number] and number not in written:
                self.live[number] = False
                deleted.append(number)
                continue
            elif number in deleted:
                continue
            noise = rng.standard_normal(self.vectors.shape[1:], dtype=np.float32)
            self.vectors[number] = _unit(self.vectors[number] + noise / np.linalg.norm(noise) / 2)
            self.live[number] = True
            written[number] = self.vectors[number]
        return written, deleted

    def nearest(self, query: Floats, category: int) -> set[int]:
        """The true TOP of a category."""
        numbers = np.arange(category, self.count, CATEGORIES)
        numbers = numbers[self.live[numbers]]
        scores = self.vectors[numbers] @ query
        return set(numbers[np.argpartition(-scores, TOP)[:TOP]].tolist())


@dataclass(frozen=True)
class Phase:
    """Searches of one phase: [p50, p95, p99] in milliseconds from when each was due, and recall@10 then."""

    times: list[float]
    recall: float
    written: int
    """Number of changes in the same time."""


@dataclass(frozen=True)
class StoreFigures:
    """The figures of a store."""

    fill_s: float
    at_rest: Phase
    under_writes: Phase

    @property
    def ratio(self) -> float:
        """p99 under writes, as a multiple of that at rest."""
        return round(self.under_writes.times[2] / self.at_rest.times[2], 2)


@dataclass(frozen=True)
class Sizes:
    """How much is measured."""

    points: int
    width: int
    seconds: float
    queries: int = 200
    threads: int = field(default_factory=lambda: os.cpu_count() or 1)

    @property
    def capacity(self) -> int:
        """Vectors that there can ever be: each change may insert one, and some libraries take a row for each."""
        return self.points + round(2 * WRITES_PER_SECOND * self.seconds) + WRITE_BATCH


def measure(store: Store, sizes: Sizes) -> StoreFigures:
    """Fill a store, and search it at rest and under writes; vectors, changes and queries are always the same."""
    rng = np.random.default_rng(SEED)
    drawn = draw_vectors(sizes.capacity + sizes.queries, sizes.width, rng)
    vectors, queries = drawn[: sizes.capacity], drawn[sizes.capacity :]
    live = np.arange(sizes.capacity) < sizes.points
    collection = Collection(vectors, live, sizes.points)
    started = time.monotonic()
    store.fill(vectors[: sizes.points])
    filled = time.monotonic() - started
    _search(store, queries, WARM_SEARCHES / SEARCHES_PER_SECOND)
    at_rest = _search(store, queries, sizes.seconds)
    recall = recall_of(store, queries, collection)
    with writing(store, collection, rng) as written:
        under_writes = _search(store, queries, sizes.seconds)
    later = recall_of(store, queries, collection)
    return StoreFigures(round(filled, 1), Phase(at_rest, recall, 0), Phase(under_writes, later, sum(written)))


@contextmanager
def writing(store: Store, collection: Collection, rng: np.random.Generator) -> Iterator[list[int]]:
    """Write WRITES_PER_SECOND changes until the block ends; yields the sizes of the batches that were written."""
    stop, sizes, errors = threading.Event(), list[int](), list[Exception]()

    def write() -> None:
        due = time.monotonic()
        try:
            while not stop.is_set():
                written, deleted = collection.changes(rng)
                store.write(written, deleted)
                sizes.append(len(written) + len(deleted))
                due += WRITE_BATCH / WRITES_PER_SECOND
                stop.wait(max(0.0, due - time.monotonic()))
        except Exception as error:  # noqa: BLE001 - raised in the thread that measures
            errors.append(error)

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    try:
        yield sizes
    finally:
        stop.set()
        thread.join()
    if errors:
        raise errors[0]


def recall_of(store: Store, queries: Floats, collection: Collection) -> float:
    """recall@10 of the queries, in their categories."""
    shares = [
        len(collection.nearest(query, category_of(n)) & set(store.search(query, category_of(n)))) / TOP
        for n, query in enumerate(queries)
    ]
    return round(float(np.mean(shares)), 4)


def _search(store: Store, queries: Floats, seconds: float) -> list[float]:
    """[p50, p95, p99] of searches at a steady rate, in milliseconds from when each was due."""
    times, started = list[float](), time.monotonic()
    for number in range(max(1, round(SEARCHES_PER_SECOND * seconds))):
        due = started + number / SEARCHES_PER_SECOND
        time.sleep(max(0.0, due - time.monotonic()))
        store.search(queries[number % len(queries)], category_of(number))
        times.append((time.monotonic() - due) * 1000)
    return percentiles(times)


def _unit(vector: Floats) -> Floats:
    unit: Floats = vector / np.linalg.norm(vector)
    return unit
