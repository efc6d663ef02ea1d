"""What ten times as many items cost over Kafka: items a second, searches, and the memory of the workers.

python -m tests.benchmarks.growth [--sizes 1000,10000,100000] [--encoder fake] [--json growth.json]
"""

import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from io import BytesIO
from itertools import cycle
from pathlib import Path
from typing import Annotated

import typer
from PIL import Image
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from infra.kafka import EventSink, TopicReader
from infra.observability.host_info import describe_machine
from producers.demo.catalogue import draw_catalogue
from schemas.topics import ITEM_OUTCOMES
from tests.benchmarks.fresh_bytes import new
from tests.benchmarks.item_load import indexed, send_item
from tests.benchmarks.search_load import SearchLoadResult, search_at_rate
from tests.chaos.processes import Process
from tests.chaos.search_requests import start_query
from tests.chaos.testbed import Testbed, open_testbed

SEED, TENANT = 7, "default"
PART = 500
"""Items that are sent and timed together; at most so many wait."""
LAST_PARTS = 4
"""The pace at a size is the median of its last parts."""
SEARCHES_A_SECOND, SEARCH_SECONDS = 5.0, 20.0
SHOP, SIDE = 128, 96


@dataclass(frozen=True)
class Size:
    """The figures of a system that holds so many items."""

    items: int
    rate: float
    """Items a second, in the median of the last parts."""
    search_ms: list[float]
    """From a search to its answer: p50, p95, p99."""
    index_mb: float
    query_mb: float


def grow(testbed: Testbed, pictures: Sequence[bytes], sizes: Sequence[int], progress: Progress) -> Iterator[Size]:
    """Index items up to each size, then search."""
    index, query = testbed.start_worker(), start_query(testbed)
    task, images = progress.add_task("items", total=max(sizes)), cycle(pictures)
    done = 0
    with closing(TopicReader(testbed.kafka, ITEM_OUTCOMES)) as outcomes, closing(EventSink(testbed.kafka)) as sink:
        for size in sizes:
            rates: list[float] = []
            while done < size:
                count, began = min(PART, size - done), time.monotonic()
                for _ in range(count):
                    send_item(sink, new(next(images)), TENANT)
                sink.flush()
                assert sum(1 for _ in indexed(outcomes, TENANT, count)) == count, "each item can be found"
                rates.append(count / (time.monotonic() - began))
                done += count
                progress.advance(task, count)
                progress.console.print(f"{done:,} items, {rates[-1]:.0f} a second", highlight=False)
            searches = search_at_rate(testbed.kafka, pictures, TENANT, SEARCHES_A_SECOND, SEARCH_SECONDS)
            yield _size(done, rates, searches, (index, query))


def small(path: Path) -> bytes:
    """The picture scaled to SIDE pixels: only the number of items grows here."""
    out = BytesIO()
    Image.open(path).convert("RGB").resize((SIDE, SIDE)).save(out, "JPEG")
    return out.getvalue()


def _size(items: int, rates: Sequence[float], searches: SearchLoadResult, workers: tuple[Process, Process]) -> Size:
    last = sorted(rates[-LAST_PARTS:])
    index, query = (round(worker.resident_mb(), 1) for worker in workers)
    return Size(items, round(last[len(last) // 2], 1), searches.whole, index, query)


def main(
    sizes: Annotated[
        str, typer.Option(help="How many items, each larger than the one before")
    ] = "1000,10000,100000",
    encoder: Annotated[str, typer.Option(help="As LOOKSTREAM_ENCODER")] = "fake",
    report: Annotated[Path | None, typer.Option("--json", help="Where to write the figures")] = None,
) -> None:
    """Grow one system, with a pause for searches at each size."""
    console = Console()
    with tempfile.TemporaryDirectory(prefix="lookstream-growth-") as temporary:
        catalogue = draw_catalogue(Path(temporary) / "shop", SHOP, SEED)
        shots = [small(catalogue.folder / product.image) for product in catalogue.products]
        with (
            open_testbed(Path(temporary) / "world", LOOKSTREAM_ENCODER=encoder) as testbed,
            Progress(console=Console(stderr=True)) as progress,
        ):
            sizes_measured = list(grow(testbed, shots, [int(size) for size in sizes.split(",")], progress))
    table = Table("items", "items a second", "search p50, p95, p99 in ms", "index worker", "query worker")
    for one in sizes_measured:
        times = ", ".join(f"{ms:.0f}" for ms in one.search_ms)
        table.add_row(
            f"{one.items:,}", f"{one.rate:.0f}", times, f"{one.index_mb:.0f} MB", f"{one.query_mb:.0f} MB"
        )
    console.print(describe_machine(), table, highlight=False)
    if report:
        report.write_text(
            json.dumps({"machine": describe_machine(), "sizes": [asdict(one) for one in sizes_measured]}, indent=1)
        )


if __name__ == "__main__":
    typer.run(main)
