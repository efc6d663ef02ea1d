"""How well and how fast are 100,000 points searched, in a running system? The part "search" of `make bench`."""

import json
import os
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from consumers.quality.evaluation.embedding_store import open_embedding_store
from consumers.scoring.look_parts import LookParts
from consumers.vision.colour import make_colour_extractor
from consumers.vision.embedder import ImageEmbedder
from consumers.vision.look import Look
from infra.config.settings import TorchSettings
from infra.console import FAILED, report_errors
from infra.encoder import EncoderUnavailable, open_encoder
from infra.images.decode import DecodeLimits
from infra.local_state import read_local_state
from infra.observability.host_info import describe_machine, installed_versions
from infra.qdrant.embedded.client import EmbeddedIndex
from producers.demo.catalogue import MAX_PRODUCTS, draw_catalogue
from producers.demo.figures import LatencySpread
from tests.benchmarks.index_calls import Bench, Calls, Load, Stalls, optimise, query_kinds, wait_until_optimised
from tests.benchmarks.steady_rate import Fresh, Queries, Searches, put_steadily, search_steadily
from tests.benchmarks.synthetic_points import (
    NOISE,
    TENANT,
    EncodedPictures,
    Labelled,
    encode_labelled,
    make_synthetic_points,
    read_labelled,
)
from tests.benchmarks.watch_matching import WatchMatching, measure_watch_matching
from tests.benchmarks.whole_path import kafka_of, run_system
from tests.end_to_end.system import System

SEED = 7
SEARCH_RATE, ITEM_RATE = 5.0, 20.0
"""A second, as the promises name them; --item-rate is for machines that look at fewer pictures a second."""
LAST = 0.1
"""Share of the points that is written when the rest is in the graph, and that a new graph is then built for."""
PATIENCE_SECONDS = 60.0
LOOKS = Path(".lookstream/looks")


@dataclass(frozen=True)
class Sizes:
    """How much is measured."""

    points: int
    queries: int
    seconds: float
    item_rate: float


@dataclass(frozen=True)
class Measured:
    """All figures."""

    filled_per_second: float
    unindexed: int
    stalls: Stalls
    calls: dict[str, Calls]
    searches: Searches
    indexed: Fresh
    removed: Fresh
    item_rate: float

    @property
    def complete(self) -> bool:
        """Whether everything that was sent had its answer or outcome."""
        answered = self.searches.answered == self.searches.sent
        return answered and all(one.done == one.events for one in (self.indexed, self.removed))

    def rows(self) -> Iterator[tuple[str, str, str]]:
        """What was measured, for people."""
        yield "points written a second", f"{self.filled_per_second:.0f}", "256 at once"
        yield "optimised in", f"{self.stalls.seconds:.0f} s", f"{self.unindexed} points outside the graph before"
        yield "   longest call meanwhile", f"search {self.stalls.search} ms", f"write {self.stalls.write} ms"
        for what, calls in self.calls.items():
            yield f"index call, {what}", f"recall@10 {calls.recall:.3f}", _both(calls.times)
        worst = max(calls.worst_score for calls in self.calls.values())
        yield "largest error of a score", f"{worst:.1e}", "against the weighted sum of cosines"
        yield f"search over Kafka, {SEARCH_RATE:g} a second", "", _both(self.searches.whole)
        yield "   decoding and encoding", "", _both(self.searches.looked)
        yield "   beyond", "", _both(self.searches.beyond)
        yield f"event to searchable, {self.item_rate:g} a second", "", _both(self.indexed.times)
        yield f"delete to invisible, {self.item_rate:g} a second", "", _both(self.removed.times)


@dataclass(frozen=True)
class Report:
    """What was measured, and on what."""

    pictures: int
    points: int
    encoder: str
    measured: Measured
    watch_matching: WatchMatching
    load_before: tuple[float, float, float]
    noise: float = NOISE
    machine: dict[str, str | int] = field(default_factory=describe_machine)
    versions: dict[str, str] = field(default_factory=installed_versions)
    at: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    def show(self, console: Console) -> None:
        """Print the one table."""
        about = f"{self.machine['processor']}, {self.machine['cores']} cores, Python {self.machine['python']}\n"
        about += ", ".join(f"{name} {version}" for name, version in self.versions.items())
        about += f"\n{self.encoder}; {self.points} points of {self.pictures} pictures, noise {self.noise}; "
        about += f"load before: {self.load_before[0]:.1f}"
        table = Table("what", "", "", title="lookstream bench: search", caption=about, caption_justify="left")
        for row in self.measured.rows():
            table.add_row(*row)
        watched = self.watch_matching
        what, cost = f"{watched.watches} standing searches", f"{watched.share:.1%} of indexing"
        how = f"{watched.pictures} pictures: {watched.matching_ms} ms beside {watched.looking_ms} ms"
        table.add_row(what, cost, f"{how}, {watched.matches} matches each")
        console.print(table)


@contextmanager
def open_embedder(encoder: str) -> Iterator[ImageEmbedder]:
    """The embedder with this encoder."""
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        yield ImageEmbedder(
            open_encoder(encoder, TorchSettings()), make_colour_extractor(), DecodeLimits(thumbnail=0), pool
        )


def look_at(labelled: Labelled, embedder: ImageEmbedder, cache: Path, progress: Progress) -> EncodedPictures:
    """The encoded pictures; looks in the cache are not made again."""
    task = progress.add_task("looking at pictures", total=len(labelled))
    looks, kinds = list[Look](), list[str]()
    encoder = embedder.encoder
    with open_embedding_store(cache, embedder) as store:
        for look, kind in encode_labelled(labelled, store.embed):
            looks.append(look)
            kinds.append(kind)
            progress.advance(task)
    return EncodedPictures(looks, kinds, LookParts(encoder.object_size, encoder.style_size), encoder.fingerprint)


def measure(
    system: System, encoded: EncodedPictures, labelled: Labelled, sizes: Sizes, progress: Progress
) -> Measured:
    """Fill the index of a running system, optimise it, and measure."""
    running = read_local_state(system.folder)
    assert running is not None, "the system runs"
    assert running.index is not None, "it has an index of its own"
    address = running.index
    with (
        closing(EmbeddedIndex(address, PATIENCE_SECONDS)) as index,
        closing(EmbeddedIndex(address, PATIENCE_SECONDS)) as other,
    ):
        bench = Bench(make_synthetic_points(encoded, sizes.points, np.random.default_rng(SEED)), encoded, index)
        filled = fill(bench, progress)
        unindexed = index.status().unindexed
        load = Load(other, len(encoded.looks[0].vector))
        stalls = optimise(bench, load)
        with load.running():
            task = progress.add_task("searching the index", total=None)
            calls = {
                query_kind.what: bench.measure(sizes.queries, query_kind)
                for query_kind in query_kinds(bench.synthetic)
            }
            progress.remove_task(task)
    pictures, kafka = [picture for picture, _ in labelled], kafka_of(system)
    progress.add_task("searching over Kafka", total=None)
    searches = search_steadily(kafka, Queries(pictures, TENANT), SEARCH_RATE, round(SEARCH_RATE * sizes.seconds))
    indexed, removed = put_steadily(
        kafka, pictures, TENANT, sizes.item_rate, round(sizes.item_rate * sizes.seconds)
    )
    return Measured(filled, unindexed, stalls, calls, searches, indexed, removed, sizes.item_rate)


def fill(bench: Bench, progress: Progress) -> float:
    """Write the points, the last part when the rest is in the graph; points a second."""
    points = len(bench.synthetic.kinds)
    first = round(points * (1 - LAST))
    task = progress.add_task("filling the index", total=points)
    started = time.monotonic()
    bench.synthetic.write(bench.index, 0, first, lambda count: progress.advance(task, count))
    rate = first / (time.monotonic() - started)
    bench.index.optimise()
    wait_until_optimised(bench.index)
    bench.synthetic.write(bench.index, first, points, lambda count: progress.advance(task, count))
    return rate


def _both(times: LatencySpread) -> str:
    return f"p50 {times.p50} ms, p95 {times.p95} ms"


def main(
    data: Annotated[
        Path | None, typer.Option(help="Folder with products.csv and its pictures; else some are drawn")
    ] = None,
    pictures: Annotated[int, typer.Option(help="Pictures to look at", min=16)] = 15_000,
    points: Annotated[int, typer.Option(help="Points to make of them", min=100)] = 100_000,
    queries: Annotated[int, typer.Option(help="Index calls for each filter", min=1)] = 300,
    seconds: Annotated[float, typer.Option(help="How long to search, to index and to delete", min=1)] = 60,
    item_rate: Annotated[float, typer.Option(help="Items a second", min=0.1)] = ITEM_RATE,
    encoder: Annotated[str, typer.Option(help="As LOOKSTREAM_ENCODER")] = "best",
    cache: Annotated[Path, typer.Option(help="Where looks are kept for the next run")] = LOOKS,
    path: Annotated[Path | None, typer.Option("--json", help="Write the figures here too")] = None,
) -> None:
    """Measure how well and how fast a running system searches many points on this machine."""
    load = os.getloadavg()
    with (
        report_errors(EncoderUnavailable),
        tempfile.TemporaryDirectory(prefix="lookstream-bench-") as temporary,
        Progress(console=Console(stderr=True), transient=True) as progress,
    ):
        folder = Path(temporary)
        labelled = read_labelled(data, pictures) if data else _drawn(folder / "shop", min(pictures, MAX_PRODUCTS))
        with open_embedder(encoder) as embedder:
            encoded = look_at(labelled, embedder, cache, progress)
            watch_matching = measure_watch_matching(encoded, labelled, embedder, folder / "watched", points)
        with run_system(folder / "system", encoder) as system:
            measured = measure(system, encoded, labelled, Sizes(points, queries, seconds, item_rate), progress)
    report = Report(len(encoded.looks), points, encoded.fingerprint, measured, watch_matching, load)
    report.show(Console())
    if path:
        path.write_text(json.dumps(asdict(report), indent=1) + "\n", encoding="utf-8")
    if not measured.complete:
        Console().print("[red]not everything went through: see `answered` and `done`[/]")
        raise typer.Exit(FAILED)


def _drawn(folder: Path, count: int) -> Labelled:
    catalogue = draw_catalogue(folder, count, SEED)
    return [((folder / product.image).read_bytes(), product.kind) for product in catalogue.products]


if __name__ == "__main__":
    typer.run(main)
