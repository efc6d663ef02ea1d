"""The index compared with alternative libraries: recall@10 against milliseconds, on the same vectors.

`python -m tests.benchmarks.indexes [--data folder]`: each library builds its graph of the same vectors, and answers
the same queries one at a time, alone on the machine and without filters, payloads or durability, which ours has.
The vectors are looks at the pictures of a folder, each many times with noise, and the queries looks at others of
them; without a folder vectors are drawn. A library that is not installed is left out, and that is said:
`pip install lookstream[bench]`.
"""

import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Protocol

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from infra.observability.host_info import describe_machine, installed_versions
from infra.qdrant.contract import Point, SearchPlan
from infra.qdrant.point_ids import point_id
from tests.benchmarks.search import LOOKS, look_at, open_embedder
from tests.benchmarks.stages import own_index
from tests.benchmarks.synthetic_points import Labelled, make_synthetic_points, read_labelled

Floats = NDArray[np.float32]

DEGREE, BUILD_EFFORT = 16, 100
"""Links of a point and candidates while building: what Qdrant takes by default (m, ef_construct)."""
EFFORTS = (16, 32, 64, 128, 256)
TOP = 10
SEED = 7
WIDTH = 384
"""Dimensions of drawn vectors."""
TENANT, BATCH = "compared", 256
CLUSTERS = 500
SPREAD = 0.25
"""Noise around a cluster's centre, in parts of its length: neighbours are neither all alike nor all far."""


class Contender(Protocol):
    """An index that is built once, and then finds the nearest vectors by inner product."""

    def build(self, vectors: Floats) -> None:
        """Take the vectors [n, d] in, and make what a search needs."""

    def search(self, query: Floats, effort: int) -> Sequence[int]:
        """The TOP nearest of a vector [d]; `effort` is how many candidates the graph search keeps."""


class Hnswlib:
    """hnswlib, in float32."""

    def build(self, vectors: Floats) -> None:
        hnswlib = import_module("hnswlib")
        self._index: Any = hnswlib.Index("ip", vectors.shape[1])
        self._index.init_index(len(vectors), BUILD_EFFORT, DEGREE)
        self._index.add_items(vectors)
        self._index.set_num_threads(1)

    def search(self, query: Floats, effort: int) -> Sequence[int]:
        self._index.set_ef(effort)
        return [int(found) for found in self._index.knn_query(query, TOP)[0][0]]


class Faiss:
    """faiss: HNSW over codes of one byte a dimension, as ours has them, with the best put in order anew."""

    def build(self, vectors: Floats) -> None:
        faiss = import_module("faiss")
        width = vectors.shape[1]
        graph = faiss.IndexHNSWSQ(width, faiss.ScalarQuantizer.QT_8bit, DEGREE, faiss.METRIC_INNER_PRODUCT)
        graph.hnsw.efConstruction = BUILD_EFFORT
        graph.train(vectors)
        graph.add(vectors)
        self._index: Any = graph
        self._vectors = vectors
        faiss.omp_set_num_threads(1)

    def search(self, query: Floats, effort: int) -> Sequence[int]:
        self._index.hnsw.efSearch = effort
        _, [found] = self._index.search(query[None], 2 * TOP)
        scores = self._vectors[found] @ query
        return [int(found[place]) for place in np.argsort(-scores)[:TOP]]


class LanceDb:
    """lancedb: an inverted file of graphs over codes, in its own folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def build(self, vectors: Floats) -> None:
        lancedb, pyarrow = import_module("lancedb"), import_module("pyarrow")
        width = vectors.shape[1]
        column = pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(vectors.ravel()), width)
        rows = pyarrow.table({"id": np.arange(len(vectors)), "vector": column})
        self._table: Any = lancedb.connect(self._folder).create_table("vectors", rows)
        self._table.create_index(metric="dot", index_type="IVF_HNSW_SQ", m=DEGREE, ef_construction=BUILD_EFFORT)

    def search(self, query: Floats, effort: int) -> Sequence[int]:
        candidates = max(effort, 2 * TOP)  # it refuses to keep fewer than it puts in order anew
        query_vectors = (
            self._table.search(query).distance_type("dot").ef(candidates).refine_factor(2).select(["id"]).limit(TOP)
        )
        return [int(found) for found in query_vectors.to_arrow()["id"].to_pylist()]


class EmbeddedEngine:
    """The embedded engine in its own process, as `lookstream up` runs it; each call travels over a socket."""

    def __init__(self, index: Any) -> None:
        self._index = index

    def build(self, vectors: Floats) -> None:
        for first in range(0, len(vectors), BATCH):
            few = vectors[first : first + BATCH]
            self._index.upsert([_point(first + n, vector) for n, vector in enumerate(few)])
        self._index.optimise()
        while (now := self._index.status()).wanted or now.optimising:
            time.sleep(0.2)

    def search(self, query: Floats, effort: int) -> Sequence[int]:
        [hits] = self._index.search([SearchPlan(query, TENANT, limit=TOP, hnsw_ef=effort)])
        return [int(str(hit.payload["item_id"])) for hit in hits]


def _point(number: int, vector: Floats) -> Point:
    known = {"item": f"{TENANT}:{number}", "item_id": str(number), "tenant": TENANT, "n": 0, "version": 1}
    return Point(point_id(TENANT, str(number), 0), known | {"state": "live"}, vector)


def draw_vectors(count: int, width: int, rng: np.random.Generator) -> Floats:
    """Unit vectors around some centres, as pictures of some kinds lie."""
    centres = rng.standard_normal((CLUSTERS, width)).astype(np.float32)
    noise = rng.standard_normal((count, width)).astype(np.float32)
    vectors = centres[rng.integers(CLUSTERS, size=count)] * SPREAD + noise
    unit: Floats = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


def look_vectors(labelled: Labelled, points: int, encoder: str, cache: Path) -> tuple[Floats, Floats]:
    """Vectors [points, size] of pictures, with noise; and query vectors of a tenth, which is left out of them."""
    with open_embedder(encoder) as embedder, Progress(console=Console(stderr=True), transient=True) as progress:
        encoded = look_at(labelled, embedder, cache, progress)
    query_vectors = len(encoded.looks) // 10
    synthetic = replace(encoded, looks=encoded.looks[query_vectors:], kinds=encoded.kinds[query_vectors:])
    vectors = make_synthetic_points(synthetic, points, np.random.default_rng(SEED)).vectors
    return vectors, np.stack([look.vector for look in encoded.looks[:query_vectors]])


def nearest(vectors: Floats, queries: Floats) -> list[set[int]]:
    """The true TOP of each query, by comparing with every vector."""
    return [set(np.argpartition(-(vectors @ query), TOP)[:TOP].tolist()) for query in queries]


def measure(contender: Contender, vectors: Floats, queries: Floats) -> dict[str, Any]:
    """Seconds to build, and for each effort the recall@10 and the milliseconds of a search, p50 and p95."""
    truth = nearest(vectors, queries)
    started = time.perf_counter()
    contender.build(vectors)
    built = time.perf_counter() - started
    efforts = {effort: _measure_effort(contender, queries, truth, effort) for effort in EFFORTS}
    return {"build_s": round(built, 1), "efforts": efforts}


def _measure_effort(
    contender: Contender, queries: Floats, truth: Sequence[set[int]], effort: int
) -> dict[str, float]:
    recalls, times = list[float](), list[float]()
    contender.search(queries[0], effort)
    for query, true in zip(queries, truth, strict=True):
        started = time.perf_counter()
        found = contender.search(query, effort)
        times.append((time.perf_counter() - started) * 1000)
        recalls.append(len(true & set(found)) / TOP)
    return {
        "recall": round(statistics.mean(recalls), 4),
        "p50_ms": round(statistics.median(times), 3),
        "p95_ms": round(float(np.percentile(times, 95)), 3),
    }


def contenders(folder: Path, index: Any, say: Callable[[str], None]) -> Iterator[tuple[str, Contender]]:
    """Ours, and those that are installed."""
    yield "lookstream, embedded", EmbeddedEngine(index)
    others: dict[str, Callable[[], Contender]] = {
        "hnswlib": Hnswlib, "faiss": Faiss, "lancedb": lambda: LanceDb(folder / "lance")
    }  # fmt: skip
    for name, make in others.items():
        if find_spec(name) is None:
            say(f"{name} is not installed, so it is left out: pip install lookstream[bench]")
        else:
            yield name, make()


def show(figures: dict[str, Any], console: Console) -> None:
    """Print the table."""
    table = Table("index", "built in", *(f"effort {effort}" for effort in EFFORTS), title="recall@10 at p50 ms")
    for name, one in figures.items():
        cells = [f"{found['recall']:.3f} at {found['p50_ms']:.2f}" for found in one["efforts"].values()]
        table.add_row(name, f"{one['build_s']} s", *cells)
    console.print(table)


def main(
    data: Annotated[Path | None, typer.Option(help="Folder with products.csv and its pictures")] = None,
    pictures: Annotated[int, typer.Option(help="Pictures to look at", min=20)] = 3_000,
    encoder: Annotated[str, typer.Option(help="Who looks at them, as LOOKSTREAM_ENCODER")] = "best",
    points: Annotated[int, typer.Option(help="Vectors", min=100)] = 100_000,
    queries: Annotated[int, typer.Option(help="Searches for each effort at most", min=1)] = 300,
    cache: Annotated[Path, typer.Option(help="Where looks are kept for the next run")] = LOOKS,
    path: Annotated[Path | None, typer.Option("--json", help="Write the figures here too")] = None,
) -> None:
    """Compare the index with others on this machine."""
    console = Console()
    if data:
        vectors, query_vectors = look_vectors(read_labelled(data, pictures), points, encoder, cache)
    else:
        vectors, query_vectors = np.split(
            draw_vectors(points + queries, WIDTH, np.random.default_rng(SEED)), [points]
        )
    figures = dict[str, Any]()
    with tempfile.TemporaryDirectory(prefix="lookstream-indexes-") as temporary:
        folder = Path(temporary)
        with own_index(folder / "own", "compared", vectors.shape[1]) as index:
            for name, contender in contenders(folder, index, partial(console.print, markup=False)):
                with console.status(name):
                    figures[name] = measure(contender, vectors, query_vectors[:queries])
    show(figures, console)
    if path:
        about = {
            "points": points,
            "vectors": "looks" if data else "drawn",
            "machine": describe_machine(),
            "versions": installed_versions(),
        }
        path.write_text(json.dumps(about | {"indexes": figures}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
