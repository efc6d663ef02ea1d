"""What the words of items cost in the embedded index: memory, disk and time of a point, and of a search by words.

python -m tests.benchmarks.text_index [--points 30000] [--json text-index.json]

Two processes write the same points, one of them with words, and read their memory again after a new start. The
difference is that of the text index. Words are those of a shop: 6 of a title, and a category, a brand and 4
attributes; their frequencies follow Zipf's law.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from infra.observability.host_info import describe_machine
from infra.qdrant.contract import Point, SearchPlan
from infra.qdrant.embedded.shard import Shard
from infra.qdrant.payload_indexes import WORDS
from infra.qdrant.point_ids import point_id

TENANT, SIZE, BATCH, SEARCHES = "shop", 8, 256, 200
VOCABULARY, TITLE_WORDS, ATTRIBUTES, BRANDS, CATEGORIES = 5_000, 6, 4, 200, 80
Figures = dict[str, float]


def words_of(draw: np.random.Generator) -> str:
    """The words of one item, as the index worker makes them."""
    title = [f"word{number % VOCABULARY}" for number in draw.zipf(1.2, TITLE_WORDS)]
    facts = [f"brand{draw.integers(BRANDS)}", f"category{draw.integers(CATEGORIES)}"]
    return " ".join([*title, *facts, *(f"value{draw.integers(50)}" for _ in range(ATTRIBUTES))])


def write(shard: Shard, points: int, *, with_words: bool) -> float:
    """Write the points; the seconds of a core that it took."""
    draw, spent = np.random.default_rng(0), 0.0
    for first in range(0, points, BATCH):
        batch = []
        for number in range(first, min(first + BATCH, points)):
            item, words = f"i{number}", words_of(draw)
            about = {"item": f"{TENANT}:{item}", "item_id": item, "tenant": TENANT, "n": 0, "version": 1}
            payload = about | {"state": "live"} | ({WORDS: words} if with_words else {})
            vector = draw.standard_normal(SIZE).astype(np.float32)
            batch.append(Point(point_id(TENANT, item, 0), payload, vector))
        started = time.process_time()
        shard.upsert(batch)
        spent += time.process_time() - started
    return spent


def memory_bytes() -> float:
    """Resident memory of this process that is not a file's."""
    lines = Path("/proc/self/status").read_text().splitlines()
    [line] = [line for line in lines if line.startswith("RssAnon")]
    return float(line.split()[1]) * 1024


def search_ms(shard: Shard, texts: Sequence[str]) -> float:
    """The mean time of a core that a search by words takes, in ms."""
    times = []
    for text in texts:
        started = time.process_time()
        shard.search([SearchPlan(vector=None, tenant=TENANT, text=text, included_keys=("item_id",))])
        times.append(time.process_time() - started)
    return statistics.mean(times) * 1000


def measure(folder: Path, points: int, *, with_words: bool, is_written: bool) -> Figures:
    """The figures of a process that writes the points, or of one that opens them again."""
    before, shard = memory_bytes(), Shard(folder, 0)
    shard.open("text:1", SIZE)
    if not is_written:
        seconds = write(shard, points, with_words=with_words)
        shard.optimise()
        shard.flush()
        shard.close()
        return {"write_seconds": seconds}
    draw = np.random.default_rng(1)
    texts = [" ".join(words_of(draw).split()[:3]) for _ in range(SEARCHES)]
    figures = {"search_ms": search_ms(shard, texts), "disk_bytes": float(shard.status().bytes or 0)}
    figures["memory_bytes"] = memory_bytes() - before
    shard.close()
    return figures


def figures_of(points: int, *, with_words: bool) -> Figures:
    """The figures of points with or without words, each step in a process of its own."""
    found: Figures = {}
    with tempfile.TemporaryDirectory(prefix="lookstream-text-index-") as folder:
        for is_written in ("no-written", "written"):
            words = "words" if with_words else "no-words"
            command = [sys.executable, "-m", "tests.benchmarks.text_index", "--child", folder]
            command += ["--points", str(points), f"--{words}", f"--{is_written}"]
            found |= json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    return found


def compare(points: int) -> Figures:
    """What words add to a point, in bytes and microseconds, and the time of a search by them."""
    plain, worded = (figures_of(points, with_words=with_words) for with_words in (False, True))
    return {
        "points": points,
        "memory_bytes_a_point": (worded["memory_bytes"] - plain["memory_bytes"]) / points,
        "disk_bytes_a_point": (worded["disk_bytes"] - plain["disk_bytes"]) / points,
        "write_us_a_point": (worded["write_seconds"] - plain["write_seconds"]) / points * 1e6,
        "search_ms": worded["search_ms"],
    }


def main(
    points: Annotated[int, typer.Option(min=1_000, help="Number of points")] = 30_000,
    report: Annotated[Path | None, typer.Option("--json", help="Where to write the figures")] = None,
    child: Annotated[Path | None, typer.Option(hidden=True)] = None,
    *,
    words: Annotated[bool, typer.Option(hidden=True)] = False,
    written: Annotated[bool, typer.Option(hidden=True)] = False,
) -> None:
    """Measure the text index."""
    if child is not None:
        sys.stdout.write(json.dumps(measure(child, points, with_words=words, is_written=written)))
        return
    figures, table = compare(points), Table("what", "figure")
    for name, value in figures.items():
        table.add_row(name, f"{value:,.2f}")
    Console().print(describe_machine(), table, highlight=False)
    if report:
        report.write_text(json.dumps({"machine": describe_machine(), **figures}, indent=1))


if __name__ == "__main__":
    typer.run(main)
