"""A million vectors that are searched while they change: `python -m tests.benchmarks.scale`

Each store holds the same vectors, and is searched 10 times a second with a filter that a tenth of them pass. First
nothing else happens, then 200 vectors a second are inserted, replaced and deleted. `--qdrant URL` names a server,
on which the benchmark has a collection of its own. hnswlib, faiss and lancedb are compared if they are
installed (`pip install 'lookstream[bench]'`).

Vectors are drawn around centres, because nobody has a million pictures at hand; recall@10 is that among all vectors
which the filter lets pass.
"""

import json
import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import asdict
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from infra.config.qdrant import QdrantSettings
from infra.console import report_errors
from infra.observability.host_info import describe_machine, installed_versions
from infra.qdrant.embedded.shard import Shard
from infra.qdrant.generations import FIRST
from infra.qdrant.server import collections
from infra.qdrant.server.index import ServerIndex
from infra.qdrant.server.nodes import reach_cluster
from schemas.failures import Unavailable
from tests.benchmarks.scale_load import Sizes, StoreFigures, measure
from tests.benchmarks.scale_stores import FaissStore, HnswlibStore, IndexStore, LanceStore, Store
from tests.benchmarks.stages import own_index

MIN_FREE = 1 << 30
"""Bytes of free disk that a bare shard requires, as the embedded index does."""
LIMITS = {"recall": 0.97, "ratio": 1.5}
"""Lowest recall@10, and highest p99 under writes as a multiple of that at rest."""

Open = Callable[[], AbstractContextManager[Store]]


def stores(
    folder: Path, sizes: Sizes, qdrant: str | None, say: Callable[[str], None]
) -> Iterator[tuple[str, Open]]:
    """Ours on its engines, and the libraries that are installed."""
    yield "lookstream, embedded", partial(_embedded, folder / "own", sizes.width)
    if qdrant:
        yield "lookstream, Qdrant server", partial(_on_server, qdrant, sizes.width)
    yield "Qdrant Edge by itself", partial(_bare_shard, folder / "bare", sizes.width)
    libraries: Mapping[str, Callable[[], Store]] = {
        "hnswlib": lambda: HnswlibStore(sizes.capacity, sizes.threads),
        "faiss": lambda: FaissStore(sizes.capacity, sizes.threads),
        "lancedb": lambda: LanceStore(folder / "lance"),
    }
    for name, make in libraries.items():
        if find_spec(name) is None:
            say(f"{name} is not installed, so it is left out: pip install 'lookstream[bench]'")
        else:
            yield name, partial(_opened, make)


def _opened(make: Callable[[], Store]) -> AbstractContextManager[Store]:
    return nullcontext(make())


@contextmanager
def _embedded(folder: Path, width: int) -> Iterator[Store]:
    with own_index(folder, "scale", width) as index:
        yield IndexStore(index)


@contextmanager
def _on_server(url: str, width: int) -> Iterator[Store]:
    settings = QdrantSettings(url=url, collection=f"scale-{uuid.uuid4().hex[:8]}")
    with closing(reach_cluster(settings)) as cluster:
        index = ServerIndex(cluster, settings)
        index.open("scale", width)
        try:
            yield IndexStore(index)
        finally:
            cluster.run(lambda client: collections.drop(client, settings.collection, FIRST))


@contextmanager
def _bare_shard(folder: Path, width: int) -> Iterator[Store]:
    folder.mkdir()
    shard = Shard(folder, MIN_FREE)
    shard.open("scale", width)
    yield IndexStore(shard)
    shard.close()


def show(figures: Mapping[str, StoreFigures], sizes: Sizes, console: Console) -> None:
    """Print the table."""
    machine = describe_machine()
    about = f"{sizes.points:,} vectors of {sizes.width}; {machine['processor']}, {machine['cores']} cores; "
    about += f"aims: recall@10 {LIMITS['recall']:g}, p99 {LIMITS['ratio']:g} times that at rest"
    columns = (
        "store",
        "filled in",
        "at rest: p50, p95, p99",
        "recall@10",
        "under writes",
        "recall@10",
        "p99 ratio",
    )
    table = Table(*columns, title="searches while vectors change", caption=about, caption_justify="left")
    for name, one in figures.items():
        phases = (", ".join(f"{ms:g}" for ms in phase.times) + " ms" for phase in (one.at_rest, one.under_writes))
        at_rest, under_writes = phases
        recalls = f"{one.at_rest.recall:.3f}", f"{one.under_writes.recall:.3f}"
        table.add_row(
            name, f"{one.fill_s:.0f} s", at_rest, recalls[0], under_writes, recalls[1], f"{one.ratio:.2f}"
        )
    console.print(table)


def main(
    points: Annotated[int, typer.Option(help="Vectors", min=100)] = 1_000_000,
    width: Annotated[int, typer.Option(help="Dimensions of a vector", min=2)] = 384,
    seconds: Annotated[float, typer.Option(help="How long each phase is", min=1)] = 120,
    only: Annotated[list[str] | None, typer.Option(help="Store to measure, by a part of its name; all")] = None,
    qdrant: Annotated[str | None, typer.Option(help="URL of a Qdrant server to measure too")] = None,
    path: Annotated[Path | None, typer.Option("--json", help="Write the figures here too")] = None,
) -> None:
    """Measure searches among many vectors while they change, on this machine."""
    console, sizes, figures = Console(), Sizes(points, width, seconds), dict[str, StoreFigures]()
    with report_errors(Unavailable), tempfile.TemporaryDirectory(prefix="lookstream-scale-") as temporary:
        for name, open_store in stores(Path(temporary), sizes, qdrant, partial(console.print, markup=False)):
            if only is None or any(part in name for part in only):
                with Console(stderr=True).status(name), open_store() as store:
                    figures[name] = measure(store, sizes)
    show(figures, sizes, console)
    if path:
        about = {"sizes": asdict(sizes), "machine": describe_machine(), "versions": installed_versions()}
        report = about | {"stores": {name: asdict(one) | {"ratio": one.ratio} for name, one in figures.items()}}
        path.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
