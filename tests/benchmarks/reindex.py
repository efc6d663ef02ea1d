"""A change of the encoder under load: its effect on searches and items, and its result.

    python -m tests.benchmarks.reindex [--items 10000] [--item-rate 20] [--kills 20]

Items lie in files and the local broker is started again after they were indexed, so that the new index is filled
from references. Searches and items go on all the while, before, during and after; parts are killed at random.
"""

import json
import os
import random
import signal
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console

from infra.client.reply_router import NoAnswer
from infra.client.search_client import SearchClient
from infra.config.kafka import KafkaSettings
from infra.kafka import EventSink
from infra.local_state import read_local_state
from infra.qdrant.contract import Index, Vector
from infra.qdrant.embedded.client import EmbeddedIndex
from infra.qdrant.generations import FileGenerationRegister
from infra.qdrant.points_io import iterate_points
from producers.demo.catalogue import draw_catalogue
from schemas.envelope import Event
from schemas.items import FileImage, InlineImage, ItemUpserted, item_key
from schemas.searches import SearchRequest
from schemas.topics import CATALOG_ITEMS
from tests.benchmarks.search_load import percentiles
from tests.benchmarks.system_processes import new_system
from tests.benchmarks.whole_path import kafka_of
from tests.end_to_end.system import LOOKSTREAM, ROOT, System

TENANT, ROOT_NAME, SEED = "default", "shots", 7
BEFORE_SECONDS, AFTER_SECONDS = 30.0, 10.0
PARTS = ("index", "embedded-index")
GATE = "first_hit_rate = 0.5\nfirst_hit_loss = 0.1\ncategory_loss = 0.2\n"
"""The new encoder is a quicker one, not a better one."""


@dataclass
class SearchLog:
    """The log of steady searches: times, milliseconds, statuses and encoders."""

    at: list[float] = field(default_factory=list)
    took: list[float] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)
    encoders: list[str] = field(default_factory=list)

    def between(self, start: float, end: float) -> list[float]:
        """Percentiles of the searches sent in that time."""
        return percentiles([ms for at, ms in zip(self.at, self.took, strict=True) if start <= at < end])


@dataclass
class Report:
    """The result of the benchmark."""

    items: int
    item_rate: float
    search_rate: float
    kills: int
    seconds: float = 0.0
    searches: dict[str, int] = field(default_factory=dict)
    before_ms: list[float] = field(default_factory=list)
    during_ms: list[float] = field(default_factory=list)
    encoder_changes: int = 0
    points: int = 0
    same_ids: bool = False
    largest_difference: float = 0.0
    other_encoders: int = 0
    """Points in the new index that the new encoder has not made."""


@contextmanager
def search_continuously(kafka: KafkaSettings, photos: Sequence[bytes], rate: float) -> Iterator[SearchLog]:
    """Search at a rate until the block ends."""
    log, stop = SearchLog(), threading.Event()

    def search() -> None:
        with SearchClient(kafka) as client:
            started, number = time.monotonic(), 0
            while not stop.wait(max(0.0, started + number / rate - time.monotonic())):
                image = InlineImage(data=photos[number % len(photos)])
                request = SearchRequest(request_id=f"r{number}", tenant=TENANT, image=image, strict=False)
                began = time.monotonic()
                try:
                    result = client.search(request)
                    log.statuses[result.status] += 1
                    log.encoders.append(result.encoder or "")
                except NoAnswer:
                    log.statuses["none"] += 1
                log.at.append(began)
                log.took.append((time.monotonic() - began) * 1000)
                number += 1

    thread = threading.Thread(target=search)
    thread.start()
    try:
        yield log
    finally:
        stop.set()
        thread.join()


@contextmanager
def change_items_continuously(kafka: KafkaSettings, names: Sequence[str], rate: float) -> Iterator[None]:
    """Send items again at a rate until the block ends: each with a new title and the picture of another item."""
    stop, rng = threading.Event(), random.Random(SEED)

    def change() -> None:
        with closing(EventSink(kafka)) as sink:
            started, number = time.monotonic(), 0
            while not stop.wait(max(0.0, started + number / rate - time.monotonic())):
                send(sink, f"item-{rng.randrange(len(names))}", rng.choice(names), f"changed {number}")
                number += 1
            sink.flush()

    thread = threading.Thread(target=change)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def send(sink: EventSink, item: str, name: str, title: str) -> None:
    """An item whose picture lies in a file."""
    image = FileImage(root=ROOT_NAME, path=name)
    body = ItemUpserted(tenant=TENANT, item_id=item, revision=time.time_ns() // 1_000, images=(image,), title=title)
    sink.send(CATALOG_ITEMS, item_key(TENANT, item), Event(body))


def index_of(system: System, number: int) -> EmbeddedIndex:
    """The index of a generation."""
    running = read_local_state(system.folder)
    assert running is not None
    return EmbeddedIndex(running.indexes[number], 60)


def live_count(system: System, number: int) -> int:
    """How many points a generation has."""
    with closing(index_of(system, number)) as index:
        return index.count()


def vectors_of(index: Index) -> tuple[dict[str, Vector], set[object]]:
    """The vector of every live point, and whose they are."""
    points = [point for point in iterate_points(index) if point.vector is not None]
    return {p.id: np.asarray(p.vector) for p in points}, {p.payload.get("encoder") for p in points}


def kill_at_random(system: System, kills: int, stop: threading.Event, rng: random.Random) -> int:
    """Kill an index worker, an index or nothing, so many times; how many were."""
    done = 0
    while done < kills and not stop.wait(rng.uniform(1.0, 4.0)):
        running = f"/proc/{system.process.pid}/task/{system.process.pid}/children" if system.process else ""
        pids = [int(pid) for pid in Path(running).read_text().split()]
        lines = {pid: Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0") for pid in pids}
        of_new = [pid for pid, line in lines.items() if "--generation" in line and "2" in line]
        if of_new:
            os.kill(rng.choice(of_new), signal.SIGKILL)
            done += 1
    return done


def reindex(system: System, encoder: str) -> None:
    """Run the command to its end; fails with its output."""
    gate = system.folder.parent / "gate.toml"
    gate.write_text(GATE)
    command = [*LOOKSTREAM, "reindex", "--encoder", encoder, "--gate", str(gate)]
    done = subprocess.run(
        command, env=dict(system.environment), capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stderr[-3_000:]


def main(
    items: Annotated[int, typer.Option(help="Items that are indexed first", min=16)] = 10_000,
    pictures: Annotated[int, typer.Option(help="Pictures to draw for them", min=16)] = 1_000,
    item_rate: Annotated[float, typer.Option(help="Items a second meanwhile", min=0.1)] = 20,
    search_rate: Annotated[float, typer.Option(help="Searches a second meanwhile", min=0.1)] = 5,
    kills: Annotated[int, typer.Option(help="How often a part of the new index is killed", min=0)] = 20,
    encoders: Annotated[str, typer.Option(help="From which to which")] = "balanced,fast",
    path: Annotated[Path | None, typer.Option("--json", help="Write the figures here too")] = None,
) -> None:
    """Measure a change of the encoder under load."""
    console, rng = Console(), random.Random(SEED)
    old, new = encoders.split(",")
    report = Report(items, item_rate, search_rate, kills)
    with tempfile.TemporaryDirectory(prefix="lookstream-reindex-") as temporary:
        folder = Path(temporary)
        catalogue = draw_catalogue(folder / "shop", pictures, SEED)
        names = [str(product.image) for product in catalogue.products]
        photos = [(catalogue.folder / product.photo).read_bytes() for product in catalogue.products[:200]]
        system = new_system(folder / "system", old, "torch")
        system.environment = {
            **system.environment,
            "LOOKSTREAM_IMAGES_ROOTS": json.dumps({ROOT_NAME: str(catalogue.folder)}),
        }
        with console.status("indexing"):
            system.start()
            with closing(EventSink(kafka_of(system))) as sink:
                for number in range(items):
                    send(sink, f"item-{number}", names[number % len(names)], f"item {number}")
                sink.flush()
            system.wait_for(lambda: live_count(system, 1) >= items, "the items", 1_200, every=1)
            system.stop()
            system.start()
        console.print(f"{items} items are indexed by {old}")
        kafka, stop = kafka_of(system), threading.Event()
        with (
            search_continuously(kafka, photos, search_rate) as log,
            change_items_continuously(kafka, names, item_rate),
        ):
            began = time.monotonic()
            time.sleep(BEFORE_SECONDS)
            killed: list[int] = []
            killer = threading.Thread(target=lambda: killed.append(kill_at_random(system, kills, stop, rng)))
            killer.start()
            changed = time.monotonic()
            reindex(system, new)
            report.seconds = round(time.monotonic() - changed, 1)
            time.sleep(AFTER_SECONDS)
            stop.set()
            killer.join()
            ended = time.monotonic()
        report.kills = killed[0]
        report.before_ms = log.between(began + 5, began + BEFORE_SECONDS)
        report.during_ms = log.between(changed, ended)
        report.searches = dict(log.statuses)
        pairs = zip(log.encoders, log.encoders[1:], strict=False)
        report.encoder_changes = sum(one != other for one, other in pairs)
        compare(system, report, console)
        system.stop()
    console.print(asdict(report))
    if path:
        path.write_text(json.dumps(asdict(report), indent=1) + "\n", encoding="utf-8")


def compare(system: System, report: Report, console: Console) -> None:
    """Compare the new index with a third one, which the same encoder builds from the present items."""
    with console.status("building it fresh"):
        time.sleep(5)  # what was sent last is indexed by then
        system.run("reindex", "drop")
        run_server = FileGenerationRegister(system.folder, "").read().serving
        with closing(index_of(system, run_server.number)) as index:
            ours, encoders = vectors_of(index)
            report.points, report.other_encoders = len(ours), len(encoders) - 1
        reindex(system, run_server.encoder)
        with closing(index_of(system, run_server.number + 1)) as index:
            fresh, _ = vectors_of(index)
    report.same_ids = ours.keys() == fresh.keys()
    report.largest_difference = max(float(np.abs(ours[id] - fresh[id]).max()) for id in ours.keys() & fresh.keys())


if __name__ == "__main__":
    typer.run(main)
