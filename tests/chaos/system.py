"""`lookstream up` as a user runs it: every part is killed or frozen while items come in.

Each fault strikes while a part of the feed is on its way, and all items must be searchable at the end. The broker
is frozen and thawed, never killed: the local one keeps its topics in memory. The control kills it, or deletes the
topic of another one, and must lose items.
"""

import colorsys
import csv
import os
import random
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from confluent_kafka.admin import AdminClient
from PIL import Image, ImageDraw

from schemas.topics import CATALOG_ITEMS
from tests.chaos.brokers import Broker, broker_for_up
from tests.chaos.scenario import Report, Scenario, Size
from tests.end_to_end.system import System, make_environment

FREEZE_BROKER, LOSE_BROKER = "freeze broker", "broker"
FAULTS = ("index", "embedded-index", "query", FREEZE_BROKER)
"""Parts by the word of their command lines: index worker, embedded index, query worker; and the broker, frozen."""
FROZEN_SECONDS = 1.5
SEARCHED = 30
"""Items that are searched for by their own picture at the end."""


@dataclass(frozen=True)
class Feed:
    """Items that all look different, in files to be sent one after the other."""

    folder: Path
    items: Sequence[str]
    parts: Sequence[Path]


def run(folder: Path, size: Size) -> Report:
    """Strike each part three times, in any order."""
    faults = [fault for fault in FAULTS for _ in range(size.of(3))]
    random.Random(size.seed).shuffle(faults)
    return _run(folder, faults, size, 120)


def control(folder: Path, size: Size) -> Report:
    """Lose what the broker holds as well."""
    return _run(folder, ["index", LOSE_BROKER], size, 10)


def _run(folder: Path, faults: Sequence[str], size: Size, patience: float) -> Report:
    report, feed = Report(), _draw_feed(folder / "feed", size.of(1_000, 10 * len(faults)), len(faults), size.seed)
    data = folder / "data"
    with report.timed(), broker_for_up(folder) as (broker, settings):
        system = System(data, make_environment(data, settings))
        try:
            system.start()
            for part, fault in zip(feed.parts, faults, strict=True):
                system.run("ingest", "catalog", part, "--image-root", feed.folder)
                _inject_fault(system, fault, broker)
            _judge(report, system, feed, size, patience)
        finally:
            system.stop()
    report.figures |= {"faults": len(faults)}
    return report


def _judge(report: Report, system: System, feed: Feed, size: Size, patience: float) -> None:
    """Wait until all is searchable, or long enough; then search for some."""
    until = time.monotonic() + patience
    while (there := system.indexed(feed.items)) < len(feed.items) and time.monotonic() < until:
        time.sleep(0.2)
    report.expect("items searchable", there, len(feed.items))
    chosen = random.Random(size.seed).sample(list(feed.items), size.of(SEARCHED, 2))
    first = sum(_comes_first(system, feed, item) for item in chosen)
    report.expect("found first by their own pictures", first, len(chosen))


def _inject_fault(system: System, fault: str, broker: Broker | None) -> None:
    """Freeze the broker for a while, or kill another part and wait until the supervisor has replaced it."""
    if fault == FREEZE_BROKER:
        _freeze_broker(system, broker)
    elif fault == LOSE_BROKER and broker is not None:
        _lose_items(broker)
    else:
        pid = system.children()[fault]
        os.kill(pid, signal.SIGKILL)
        system.wait_for(lambda: system.children().get(fault, pid) != pid, f"another {fault}", 30)


def _freeze_broker(system: System, broker: Broker | None) -> None:
    if broker is not None:
        broker.freeze()
        time.sleep(FROZEN_SECONDS)
        broker.thaw()
        return
    pid = system.children()["broker"]
    os.kill(pid, signal.SIGSTOP)
    time.sleep(FROZEN_SECONDS)
    os.kill(pid, signal.SIGCONT)


def _lose_items(broker: Broker) -> None:
    """Delete the topic: the effect that the death of a broker has when topics are in its memory."""
    admin = AdminClient({"bootstrap.servers": broker.bootstrap})
    for deleted in admin.delete_topics([CATALOG_ITEMS]).values():
        deleted.result()


def _comes_first(system: System, feed: Feed, item: str) -> bool:
    found: dict[str, Any] = system.search(feed.folder / f"{item}.png", "--top-k", "1", "--deadline", "30")
    return [hit["item_id"] for hit in found["hits"]] == [item]


def _draw_feed(folder: Path, count: int, parts: int, seed: int) -> Feed:
    """Draw `count` pictures, and spread them over `parts` files in Google's columns."""
    folder.mkdir()
    rng = random.Random(seed)
    items = [f"item-{n}" for n in range(count)]
    for item in items:
        _draw(rng).save(folder / f"{item}.png")
    paths = [folder / f"part-{n}.csv" for n in range(parts)]
    for n, path in enumerate(paths):
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["id", "title", "image_link"])
            writer.writerows([item, item, f"{item}.png"] for item in items[n::parts])
    return Feed(folder, items, paths)


def _draw(rng: random.Random) -> Image.Image:
    """Coloured shapes at random places: no two pictures alike."""
    image = Image.new("RGB", (96, 96), "white")
    pen = ImageDraw.Draw(image)
    for _ in range(6):
        x, y, size = rng.randrange(72), rng.randrange(72), rng.randrange(12, 40)
        red, green, blue = colorsys.hsv_to_rgb(rng.random(), rng.uniform(0.4, 1), rng.uniform(0.2, 1))
        shape = pen.ellipse if rng.random() < 0.5 else pen.rectangle
        shape((x, y, x + size, y + size), fill=(round(red * 255), round(green * 255), round(blue * 255)))
    return image


SCENARIO = Scenario(
    name="whole system",
    promise="`lookstream up` while each of its parts is killed or frozen three times under load: all 1,000 items "
    "can be searched for",
    run=run,
    control=control,
)
