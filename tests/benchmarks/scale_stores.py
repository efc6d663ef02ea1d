"""Stores of vectors under the load of tests/benchmarks/scale.py: ours on its engines, and other libraries.

Each takes inserts, updates and deletes while it is searched, by several threads, with a filter on a category. What
a library does not do itself is done here as its users would.
"""

import threading
import time
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from infra.array_types import Floats
from infra.qdrant.contract import Index, Point, SearchPlan
from infra.qdrant.point_ids import point_id
from schemas.filters import Filters

CATEGORIES = 10
"""Number of categories, equally frequent: a filter on one passes a tenth of the points."""
TENANT, BATCH = "scale", 256
DEGREE, BUILD_EFFORT = 16, 100
"""Links of a point and candidates while building: Qdrant's own defaults (m, ef_construct)."""
TOP, EFFORT = 10, 128
"""Hits of a search, and candidates of its graph search."""


def category_of(number: int) -> int:
    """The category of a point."""
    return number % CATEGORIES


class Store(Protocol):
    """A store of vectors by number. Thread-safe."""

    def fill(self, vectors: Floats) -> None:
        """Store vectors [n, d] as the numbers 0 to n - 1, and build what a search needs."""

    def write(self, vectors: Mapping[int, Floats], deleted: Sequence[int]) -> None:
        """Insert or replace vectors [d], and delete numbers; a search finds the change when this returns."""

    def search(self, query: Floats, category: int) -> Sequence[int]:
        """The TOP numbers of this category by inner product with `query` [d]."""

    def close(self) -> None:
        """Release the store."""


class IndexStore:
    """An index of infra/qdrant, with points as the index worker writes them, each in all indexes of payloads."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._version = 1

    def fill(self, vectors: Floats) -> None:
        for start in range(0, len(vectors), BATCH):
            few = vectors[start : start + BATCH]
            self._index.upsert([self._point(start + n, vector) for n, vector in enumerate(few)])
        self._index.optimise()
        while (status := self._index.status()).wanted or status.optimising:
            time.sleep(0.5)

    def write(self, vectors: Mapping[int, Floats], deleted: Sequence[int]) -> None:
        self._version += 1
        if vectors:
            self._index.upsert([self._point(number, vector) for number, vector in vectors.items()])
        if deleted:
            self._index.remove({_id(number): self._version for number in deleted})

    def search(self, query: Floats, category: int) -> Sequence[int]:
        filters = Filters(category=(f"category {category}",))
        plan = SearchPlan(query, TENANT, filters, limit=TOP, hnsw_ef=EFFORT, included_keys=())
        [hits] = self._index.search([plan])
        return [int(str(hit.payload["item_id"])) for hit in hits]

    def close(self) -> None:
        self._index.close()

    def _point(self, number: int, vector: Floats) -> Point:
        item = str(number)
        about = {"item": f"{TENANT}:{item}", "item_id": item, "tenant": TENANT, "n": 0, "state": "live"}
        facts = {"category": f"category {category_of(number)}", "source": "catalog", "in_stock": "true"}
        return Point(_id(number), about | facts | {"version": self._version}, vector)


def _id(number: int) -> str:
    return point_id(TENANT, str(number), 0)


class HnswlibStore:
    """hnswlib in float32; it does not search while it writes, so a lock is its user's part."""

    def __init__(self, capacity: int, threads: int) -> None:
        self._capacity, self._threads = capacity, threads
        self._lock = threading.Lock()

    def fill(self, vectors: Floats) -> None:
        self._index: Any = import_module("hnswlib").Index("ip", vectors.shape[1])
        self._index.init_index(self._capacity, BUILD_EFFORT, DEGREE)
        self._index.add_items(vectors, num_threads=self._threads)
        self._index.set_ef(EFFORT)

    def write(self, vectors: Mapping[int, Floats], deleted: Sequence[int]) -> None:
        with self._lock:
            if vectors:
                self._index.add_items(np.stack(list(vectors.values())), list(vectors), num_threads=1)
            for number in deleted:
                self._index.mark_deleted(number)

    def search(self, query: Floats, category: int) -> Sequence[int]:
        with self._lock:
            found, _ = self._index.knn_query(query, TOP, num_threads=1, filter=lambda n: category_of(n) == category)
        return [int(number) for number in found[0]]

    def close(self) -> None:
        """Nothing to release."""


class FaissStore:
    """faiss: HNSW over int8 codes, with the best candidates rescored in float32.

    Its graph deletes nothing: a replaced vector's old row is masked out, as is a deleted one.
    """

    def __init__(self, capacity: int, threads: int) -> None:
        self._capacity, self._threads = capacity, threads
        self._lock = threading.Lock()
        self._row_of: dict[int, int] = {}

    def fill(self, vectors: Floats) -> None:
        self._faiss: Any = import_module("faiss")
        faiss = self._faiss
        faiss.omp_set_num_threads(self._threads)
        width = vectors.shape[1]
        self._index: Any = faiss.IndexHNSWSQ(
            width, faiss.ScalarQuantizer.QT_8bit, DEGREE, faiss.METRIC_INNER_PRODUCT
        )
        self._index.hnsw.efConstruction = BUILD_EFFORT
        self._index.train(vectors[: 1 << 16])
        self._rows = np.empty((self._capacity, width), np.float32)
        self._numbers = np.empty(self._capacity, np.int64)
        self._live = np.zeros((CATEGORIES, self._capacity), np.bool_)
        self._add(np.arange(len(vectors)), vectors)

    def write(self, vectors: Mapping[int, Floats], deleted: Sequence[int]) -> None:
        with self._lock:
            for number in (*vectors, *deleted):
                if (row := self._row_of.pop(number, None)) is not None:
                    self._live[:, row] = False
            if vectors:
                self._add(np.array(list(vectors)), np.stack(list(vectors.values())))

    def search(self, query: Floats, category: int) -> Sequence[int]:
        with self._lock:
            bits = np.packbits(self._live[category], bitorder="little")
            selector = self._faiss.IDSelectorBitmap(bits)
            parameters = self._faiss.SearchParametersHNSW(sel=selector, efSearch=EFFORT)
            _, [rows] = self._index.search(query[None], 2 * TOP, params=parameters)
            rows = rows[rows >= 0]
            best = rows[np.argsort(-(self._rows[rows] @ query))[:TOP]]
            return [int(number) for number in self._numbers[best]]

    def close(self) -> None:
        """Nothing to release."""

    def _add(self, numbers: NDArray[np.int64], vectors: Floats) -> None:
        start = self._index.ntotal
        rows = np.arange(start, start + len(vectors))
        self._index.add(vectors)
        self._rows[rows], self._numbers[rows] = vectors, numbers
        self._live[numbers % CATEGORIES, rows] = True
        self._row_of.update(zip(numbers.tolist(), rows.tolist(), strict=True))


class LanceStore:
    """lancedb: an inverted file of graphs over int8 codes, on disk; what is new is searched exhaustively."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def fill(self, vectors: Floats) -> None:
        self._table: Any = (
            import_module("lancedb")
            .connect(self._folder)
            .create_table("vectors", self._rows_of(np.arange(len(vectors)), vectors))
        )
        self._table.create_index(metric="dot", index_type="IVF_HNSW_SQ", m=DEGREE, ef_construction=BUILD_EFFORT)
        self._table.create_scalar_index("category")
        self._table.create_scalar_index("id")

    def write(self, vectors: Mapping[int, Floats], deleted: Sequence[int]) -> None:
        gone = [*vectors, *deleted]
        self._table.delete(f"id IN ({', '.join(map(str, gone))})")
        if vectors:
            self._table.add(self._rows_of(np.array(list(vectors)), np.stack(list(vectors.values()))))

    def search(self, query: Floats, category: int) -> Sequence[int]:
        search = self._table.search(query).distance_type("dot").ef(EFFORT).refine_factor(2)
        found = (
            search.where(f"category = {category}", prefilter=True).select(["id", "_distance"]).limit(TOP).to_arrow()
        )
        return [int(number) for number in found["id"].to_pylist()]

    def close(self) -> None:
        """Nothing to release."""

    def _rows_of(self, numbers: NDArray[np.int64], vectors: Floats) -> Any:
        pyarrow = import_module("pyarrow")
        column = pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(vectors.ravel()), vectors.shape[1])
        return pyarrow.table({"id": numbers, "category": numbers % CATEGORIES, "vector": column})
