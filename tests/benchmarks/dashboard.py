"""A system under a light load, scraped by Prometheus: which alerts fire, and a picture of the dashboard's panels.

python -m tests.benchmarks.dashboard [--seconds 300] [--picture docs/dashboard.png]
"""

import json
import re
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from typing import Annotated, Any

import matplotlib.pyplot as plt
import typer
from rich.console import Console

from infra.config.kafka import KafkaSettings
from infra.console import FAILED
from producers.demo.catalogue import draw_catalogue
from tests.benchmarks.item_load import send_items
from tests.benchmarks.search_load import search_at_rate
from tests.benchmarks.system_processes import new_system
from tests.benchmarks.whole_path import kafka_of
from tests.infra.deploy.deploy_files import DEPLOY
from tests.infra.deploy.prometheus import alerts, ask, run_prometheus, targets_of

SEED, COLUMNS = 7, 4
ITEMS_A_SECOND, SEARCHES_A_SECOND = 1.0, 1.0
UNITS = {"s": "s", "ops": "a second", "percentunit": "0 to 1", "bytes": "bytes", "short": ""}

Panel = Mapping[str, Any]


def panels() -> list[Panel]:
    """The panels of the dashboard that show something."""
    board = json.loads((DEPLOY / "grafana" / "lookstream.json").read_text())
    return [panel for panel in board["panels"] if panel.get("targets")]


@contextmanager
def record_alerts(prometheus: str) -> Iterator[dict[str, set[str]]]:
    """Record every second which alerts fire, until the block ends: names by state."""
    states: dict[str, set[str]] = {"pending": set(), "firing": set()}
    stop = threading.Event()

    def look() -> None:
        while not stop.wait(1.0):
            for alert in alerts(prometheus):
                states["firing" if alert.firing else "pending"].add(alert.name)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield states
    finally:
        stop.set()
        thread.join()


def load(kafka: KafkaSettings, pictures: Sequence[bytes], photos: Sequence[bytes], seconds: float) -> None:
    """Send items and searches at the same time, each at its steady rate."""
    chosen = cycle(pictures)
    few = [next(chosen) for _ in range(round(ITEMS_A_SECOND * seconds))]
    items = threading.Thread(target=send_items, args=(kafka, few, "default", ITEMS_A_SECOND))
    items.start()
    search_at_rate(kafka, photos, "default", SEARCHES_A_SECOND, seconds)
    items.join()


def draw(prometheus: str, since: float, path: Path) -> None:
    """Draw every panel for the time from `since` until now."""
    chosen = panels()
    rows = -(-len(chosen) // COLUMNS)
    figure, axes = plt.subplots(rows, COLUMNS, figsize=(5 * COLUMNS, 2.6 * rows), layout="constrained")
    for panel, axis in zip(chosen, axes.flat, strict=False):
        draw_panel(prometheus, panel, since, axis)
    for axis in axes.flat[len(chosen) :]:
        axis.axis("off")
    figure.savefig(path, dpi=80)


def draw_panel(prometheus: str, panel: Panel, since: float, axis: Any) -> None:
    """Draw one panel: a line for each series."""
    until = time.time()
    for target in panel["targets"]:
        parameters = {"query": target["expr"], "start": str(since), "end": str(until), "step": "2"}
        for series in ask(prometheus, "query_range", **parameters):
            at = [moment - since for moment, _ in series["values"]]
            label = format_legend(target.get("legendFormat", ""), series["metric"])
            axis.plot(at, [float(value) for _, value in series["values"]], label=label, linewidth=1.2)
    unit = UNITS.get(panel["fieldConfig"]["defaults"].get("unit", ""), "")
    axis.set_title(panel["title"], fontsize=10, loc="left")
    axis.set_ylabel(unit, fontsize=8)
    axis.set_ylim(bottom=0)
    axis.set_xlim(0, until - since)
    axis.tick_params(labelsize=7)
    if axis.get_legend_handles_labels()[1]:
        axis.legend(fontsize=6, loc="upper left", frameon=False)


def format_legend(legend: str, labels: Mapping[str, str]) -> str:
    """The legend of a series, as Grafana writes it."""
    return re.sub(r"{{(\w+)}}", lambda found: labels.get(found[1], ""), legend)


def main(
    seconds: Annotated[float, typer.Option(help="How long", min=10)] = 300,
    encoder: Annotated[str, typer.Option(help="As LOOKSTREAM_ENCODER")] = "best",
    picture: Annotated[Path | None, typer.Option(help="Where the panels are drawn")] = None,
) -> None:
    """Exit 1 when an alert fired; print which were pending."""
    console = Console()
    with tempfile.TemporaryDirectory(prefix="lookstream-observed-") as temporary:
        folder = Path(temporary)
        catalogue = draw_catalogue(folder / "shop", 128, SEED)
        shots, photos = (
            [(catalogue.folder / getattr(product, kind)).read_bytes() for product in catalogue.products]
            for kind in ("image", "photo")
        )
        system = new_system(folder / "system", encoder, "torch")
        system.environment = {**system.environment, "LOOKSTREAM_METRICS_PORT": "9400"}
        system.gateway = system.canary = True
        system.start()
        try:
            with run_prometheus(targets_of(system), folder / "prometheus") as prometheus:
                began = time.time()
                with console.status(f"watching for {seconds:.0f} s"), record_alerts(prometheus) as states:
                    load(kafka_of(system), shots, photos, seconds)
                if picture:
                    draw(prometheus, began, picture)
        finally:
            system.stop()
    console.print({state: sorted(names) for state, names in states.items()})
    if states["firing"]:
        raise typer.Exit(FAILED)


if __name__ == "__main__":
    typer.run(main)
