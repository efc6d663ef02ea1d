"""Chaos: every part is killed or frozen while items come in, and all of them must be searchable at the end.

`make chaos` runs it long, `make test` short. Each fault strikes while a part of the feed is on its way. The broker
is frozen and thawed, never killed: its topics are in memory. The negative control kills it, and must lose items.
"""

import colorsys
import csv
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from PIL import Image, ImageDraw
from rich.console import Console
from rich.table import Table

from tests.end_to_end.system import System, make_environment

FROZEN_SECONDS = 1.5
SEARCHED = 8
"""Items that are searched for by their own picture at the end."""


@dataclass(frozen=True)
class Outcome:
    """What a run came to."""

    name: str
    seed: int
    items: int
    faults: int
    searchable: int
    first: int
    searched: int
    seconds: float

    @property
    def nothing_lost(self) -> bool:
        """Whether every item is there, and those searched for came first."""
        return self.searchable == self.items and self.first == self.searched


@dataclass(frozen=True)
class Feed:
    """Items that all look different, in files to be sent one after the other."""

    folder: Path
    items: Sequence[str]
    parts: Sequence[Path]


def draw_feed(folder: Path, count: int, parts: int, seed: int) -> Feed:
    """Draw `count` pictures, and spread them over `parts` files in Google's columns."""
    chance = random.Random(seed)
    items = [f"item-{n}" for n in range(count)]
    for item in items:
        _draw(chance).save(folder / f"{item}.png")
    paths = [folder / f"part-{n}.csv" for n in range(parts)]
    for n, path in enumerate(paths):
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["id", "title", "image_link"])
            writer.writerows([item, item, f"{item}.png"] for item in items[n::parts])
    return Feed(folder, items, paths)


def run_chaos(
    name: str, system: System, feed: Feed, faults: Sequence[str], seed: int, patience: float = 120
) -> Outcome:
    """Send each part of the feed, with a fault at once; then wait until all is searchable, or long enough."""
    started = time.monotonic()
    for part, fault in zip(feed.parts, faults, strict=True):
        system.run("ingest", "catalog", part, "--image-root", feed.folder)
        strike(system, fault)
    until = time.monotonic() + patience
    while (there := system.indexed(feed.items)) < len(feed.items) and time.monotonic() < until:
        time.sleep(0.2)
    asked = random.Random(seed).sample(list(feed.items), min(SEARCHED, len(feed.items)))
    first = sum(_comes_first(system, feed, item) for item in asked)
    seconds = round(time.monotonic() - started, 1)
    return Outcome(name, seed, len(feed.items), len(faults), there, first, len(asked), seconds)


def strike(system: System, part: str) -> None:
    """Freeze the broker for a while, or kill another part and wait until the supervisor has replaced it."""
    if part == "freeze broker":
        pid = system.children()["broker"]
        os.kill(pid, signal.SIGSTOP)
        time.sleep(FROZEN_SECONDS)
        os.kill(pid, signal.SIGCONT)
        return
    pid = system.children()[part]
    os.kill(pid, signal.SIGKILL)
    system.wait_for(lambda: system.children().get(part, pid) != pid, f"another {part}", 30)


FAULTS = ("index", "embedded-index", "query", "freeze broker")
"""Parts by the word of their command lines: index worker, embedded index, query worker; and the broker, frozen."""


def _comes_first(system: System, feed: Feed, item: str) -> bool:
    found: dict[str, Any] = system.search(feed.folder / f"{item}.png", "--top-k", "1", "--deadline", "30")
    return [hit["item_id"] for hit in found["hits"]] == [item]


def _draw(chance: random.Random) -> Image.Image:
    """Coloured shapes at random places: no two pictures alike."""
    image = Image.new("RGB", (96, 96), "white")
    pen = ImageDraw.Draw(image)
    for _ in range(6):
        x, y, size = chance.randrange(72), chance.randrange(72), chance.randrange(12, 40)
        red, green, blue = colorsys.hsv_to_rgb(chance.random(), chance.uniform(0.4, 1), chance.uniform(0.2, 1))
        shape = pen.ellipse if chance.random() < 0.5 else pen.rectangle
        shape((x, y, x + size, y + size), fill=(round(red * 255), round(green * 255), round(blue * 255)))
    return image


def run_in(
    folder: Path, name: str, faults: Sequence[str], items: int, settings: dict[str, str], seed: int
) -> Outcome:
    """One run on a system of its own, which is stopped at the end."""
    pictures = folder / f"{name}-feed"
    pictures.mkdir()
    feed = draw_feed(pictures, items, len(faults), seed)
    data = folder / name
    system = System(data, make_environment(data, settings)).start()
    try:
        patience = 15 if "broker" in faults else 300
        return run_chaos(name, system, feed, faults, seed, patience)
    finally:
        system.stop()


def main(
    items: Annotated[int, typer.Option(help="Items to send in each run")] = 1000,
    rounds: Annotated[int, typer.Option(help="How often each part is struck")] = 3,
    seed: Annotated[int, typer.Option(help="Of the pictures and of the order of faults")] = 1,
    encoder: Annotated[str, typer.Option(help="LOOKSTREAM_ENCODER of the system")] = "fast",
    report: Annotated[Path, typer.Option("--json", help="Where to write the figures")] = Path("chaos.json"),
) -> None:
    """Kill and freeze every part under load; exits 1 when an item is lost, or when the control loses none."""
    faults = list(FAULTS) * rounds
    random.Random(seed).shuffle(faults)
    settings = {"LOOKSTREAM_ENCODER": encoder}
    with tempfile.TemporaryDirectory() as folder:
        chaos = run_in(Path(folder), "chaos", faults, items, settings, seed)
        control = run_in(Path(folder), "control", ["index", "broker"], items, settings, seed)
    _show([chaos, control])
    report.write_text(json.dumps({"chaos": asdict(chaos), "control": asdict(control)}, indent=2) + "\n")
    sys.exit(0 if chaos.nothing_lost and not control.nothing_lost else 1)


def _show(outcomes: Sequence[Outcome]) -> None:
    columns = ("run", "faults", "items", "searchable", "found first", "seconds", "nothing lost")
    table = Table(*columns, caption="the control kills the broker, whose topics are in memory: it must lose items")
    for o in outcomes:
        row: tuple[object, ...] = (o.name, o.faults, o.items, o.searchable, f"{o.first}/{o.searched}", o.seconds)
        table.add_row(*map(str, row), "yes" if o.nothing_lost else "no")
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
