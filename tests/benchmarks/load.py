"""How does a running system behave under load and with more items? A part of `make bench`.

One system after the other: searches at several rates, alone and while items come in as fast as they are indexed;
sets of pictures; one and two index workers; more and more items; and how soon and how large its processes are.
"""

import json
import os
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import typer
from rich.console import Console

from consumers.scoring.look_parts import LookParts
from consumers.vision.colour import make_colour_extractor
from consumers.vision.contracts import Encoder
from consumers.vision.embedder import ImageEmbedder
from consumers.vision.look import Look
from infra.config.settings import TorchSettings
from infra.console import FAILED, report_errors
from infra.encoder import EncoderUnavailable, open_encoder
from infra.images.decode import DecodeLimits
from infra.local_state import read_local_state
from infra.qdrant.embedded.client import EmbeddedIndex
from producers.demo.catalogue import Catalogue, draw_catalogue
from tests.benchmarks.fresh_bytes import all_new, as_phones_send
from tests.benchmarks.index_calls import wait_until_optimised
from tests.benchmarks.item_load import keep_worker_busy, send_items
from tests.benchmarks.load_report import LOW, Measured, Report
from tests.benchmarks.search_load import search_at_rate, search_at_saturation
from tests.benchmarks.stages import see
from tests.benchmarks.synthetic_points import TENANT, EncodedPictures, make_synthetic_points
from tests.benchmarks.system_processes import another_index_worker, memory_of, new_system, timed_start
from tests.benchmarks.whole_path import kafka_of
from tests.end_to_end.system import System

SEED = 7
PHOTOS = 12
"""Pictures of 12 megapixels: each takes as long as dozens of others."""
DISTINCT = 32
"""Pictures for the measure of the encoder alone; fewer are repeated."""
PATIENCE_SECONDS = 120.0
Engine = Literal["auto", "torch", "openvino"]


@dataclass(frozen=True)
class Material:
    """Pictures, and how long to do what."""

    catalogue: Catalogue
    seconds: float
    rates: Sequence[float]
    """Searches a second."""
    sets: dict[str, list[bytes]]

    @property
    def shots(self) -> list[bytes]:
        """The pictures of items."""
        return [(self.catalogue.folder / product.image).read_bytes() for product in self.catalogue.products]

    @property
    def photos(self) -> list[bytes]:
        """Casual photos of the same, to search by."""
        return [(self.catalogue.folder / product.photo).read_bytes() for product in self.catalogue.products]


def rate_alone(encoder: Encoder, pictures: Sequence[bytes]) -> float:
    """Pictures a second of the encoder by itself, at its best batch; nothing else of ours runs meanwhile."""
    colours = make_colour_extractor()
    prepared = [see(picture, encoder, colours) for picture in pictures[:DISTINCT]]
    chosen = list(islice(cycle(prepared), DISTINCT))

    def rate(few: int) -> float:
        started = time.perf_counter()
        for n in range(0, len(chosen), few):
            encoder.run(chosen[n : n + few])
        return len(chosen) / (time.perf_counter() - started)

    return round(max(statistics.median(rate(few) for _ in range(3)) for few in (1, 8, 16)), 2)


def bear(system: System, material: Material, measured: Measured) -> None:
    """Items and searches, apart and together."""
    kafka, photos, seconds = kafka_of(system), material.photos, material.seconds
    for name, pictures in material.sets.items():
        measured.sets[name] = send_items(kafka, pictures, f"set-{name.replace(' ', '-')}")
    measured.low = send_items(kafka, material.shots[: max(2, round(LOW * seconds))], "low", LOW)
    with another_index_worker(system):
        measured.workers["drawn, two workers"] = send_items(kafka, material.shots, "two")
    tenant = "set-drawn"
    for rate in material.rates:
        measured.alone[f"{rate:g} a second"] = search_at_rate(kafka, photos, tenant, rate, seconds)
    measured.alone["saturation"] = search_at_saturation(kafka, photos, tenant, seconds)
    for rate in material.rates:
        name = f"{rate:g} a second"
        with keep_worker_busy(kafka, material.shots, "busy") as counter:
            measured.while_indexing[name] = search_at_rate(kafka, photos, tenant, rate, seconds)
            measured.indexed_meanwhile[name] = counter.rate


def grow(system: System, material: Material, encoder: Encoder, sizes: Sequence[int], measured: Measured) -> None:
    """The same items and searches at several sizes of the index."""
    running, kafka = read_local_state(system.folder), kafka_of(system)
    assert running is not None
    assert running.index is not None, "it has an index of its own"
    prepared = look_at(material, encoder)
    synthetic, before = make_synthetic_points(prepared, max(sizes), np.random.default_rng(SEED)), 0
    with closing(EmbeddedIndex(running.index, PATIENCE_SECONDS)) as index:
        for size in sizes:
            synthetic.write(index, before, size, lambda _count: None)
            before = size
            index.optimise()
            wait_until_optimised(index)
            indexing = send_items(kafka, all_new(material.shots), TENANT)
            searches = search_at_rate(kafka, material.photos, TENANT, LOW, material.seconds)
            measured.grown[f"{size:,}"] = indexing, searches


def look_at(material: Material, encoder: Encoder) -> EncodedPictures:
    """The encoded pictures of the items."""
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        found = ImageEmbedder(encoder, make_colour_extractor(), DecodeLimits(thumbnail=0), pool).embed(
            material.shots
        )
    looks = [look for look in found if isinstance(look, Look)]
    kinds = [product.kind for product in material.catalogue.products]
    return EncodedPictures(looks, kinds, LookParts(encoder.object_size, encoder.style_size), encoder.fingerprint)


@contextmanager
def started(folder: Path, encoder: str, engine: str, measured: Measured) -> Iterator[System]:
    """A system whose start is timed; its memory is looked at before it is stopped."""
    system = new_system(folder, encoder, engine)
    try:
        measured.ready_s = timed_start(system)
        yield system
        measured.memory_mb = memory_of(system)
    finally:
        if system.process is not None:
            system.stop()


def main(
    data: Annotated[Path | None, typer.Option(help="Folder of JPEGs, as one more set")] = None,
    pictures: Annotated[int, typer.Option(help="Products to draw", min=2)] = 128,
    seconds: Annotated[float, typer.Option(help="How long to search at each rate", min=1)] = 30,
    rates: Annotated[str, typer.Option(help="Searches a second, commas between")] = "1,5,20",
    sizes: Annotated[str, typer.Option(help="Points, commas between")] = "1000,10000,100000",
    encoder_name: Annotated[str, typer.Option("--encoder", help="As LOOKSTREAM_ENCODER")] = "best",
    engine: Annotated[Engine, typer.Option(help="As LOOKSTREAM_TORCH_ENGINE")] = "auto",
    path: Annotated[Path | None, typer.Option("--json", help="Write the figures here too")] = None,
) -> None:
    """Measure how a running system bears load and grows on this machine; times are p50 / p95 / p99."""
    console, load, measured = Console(), os.getloadavg(), Measured()
    with report_errors(EncoderUnavailable), tempfile.TemporaryDirectory(prefix="lookstream-load-") as temporary:
        folder = Path(temporary)
        material = _material(draw_catalogue(folder / "shop", pictures, SEED), seconds, rates, data)
        encoder = open_encoder(encoder_name, TorchSettings(engine=engine))
        for name, chosen in (material.sets | {"photos": material.photos}).items():
            measured.encoder_alone[name] = rate_alone(encoder, chosen)
        with console.status("measuring"), started(folder / "system", encoder_name, engine, measured) as system:
            bear(system, material, measured)
            grow(system, material, encoder, [int(size) for size in sizes.split(",")], measured)
    report = Report(measured, f"{encoder.fingerprint} by {engine}", load)
    report.show(console)
    if path:
        path.write_text(json.dumps(asdict(report), indent=1) + "\n", encoding="utf-8")
    if not measured.complete:
        console.print("[red]not everything went through: see `indexed` and `statuses`[/]")
        raise typer.Exit(FAILED)


def _material(catalogue: Catalogue, seconds: float, rates: str, data: Path | None) -> Material:
    material = Material(catalogue, seconds, [float(rate) for rate in rates.split(",")], {})
    material.sets["drawn"] = material.shots
    material.sets["12 megapixels"] = [as_phones_send(photo) for photo in material.photos[:PHOTOS]]
    if data is not None:
        files = sorted(data.rglob("*.jpg"))
        few = files[:: max(1, len(files) // len(catalogue.products))][: len(catalogue.products)]
        material.sets[data.name] = [file.read_bytes() for file in few]
    return material


if __name__ == "__main__":
    typer.run(main)
