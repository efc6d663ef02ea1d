"""How fast a large feed is read, from the file to item events, and how much memory that takes.

python -m tests.benchmarks.feed_reading [--rows 1000000] [--forms csv,jsonl,xml]

Each form is written to a file, and read in a process of its own: first its rows alone, then as items.
"""

import csv
import gzip
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Literal, TextIO, cast
from xml.sax.saxutils import escape

import typer
from rich.console import Console
from rich.table import Table

from infra.observability.host_info import describe_machine
from producers.catalog import CatalogFormat, read_items
from producers.column_mapping import choose_columns
from producers.feed_item import FeedItem
from producers.feeds.formats import read_feed

COLUMNS = ("id", "title", "link", "image_link", "price", "availability", "product_type", "brand")
DELIMITERS = {"csv": ",", "tsv": "\t", "quoted": ",", "gz": ",", "german": ";"}
FORMS = (*DELIMITERS, "jsonl", "json", "xml", "parquet")


def products(count: int, title: str = "Round disc of wood, size") -> Iterator[tuple[str, ...]]:
    """The cells of each product."""
    for number in range(count):
        address = f"https://shop.example/products/{number}"
        price = f"{number % 500}.90 EUR"
        yield (
            str(number),
            f"{title} {number}",
            address,
            f"{address}.jpg",
            price,
            "in_stock",
            "Toys > Discs",
            "Round",
        )


def write(path: Path, form: str, rows: int) -> None:
    """Write a feed of a form."""
    if form == "parquet":
        _write_parquet(path, rows)
        return
    with gzip.open(path, "wt", 1) if form == "gz" else path.open("w", encoding="utf-8", newline="") as opened:
        file = cast("TextIO", opened)
        if form in DELIMITERS:
            _write_table(file, form, rows)
        elif form == "xml":
            _write_xml(file, rows)
        else:
            _write_json(file, form, rows)


def _write_table(file: TextIO, form: str, rows: int) -> None:
    quoting: Literal[0, 1] = csv.QUOTE_ALL if form == "quoted" else csv.QUOTE_MINIMAL
    writer = csv.writer(file, delimiter=DELIMITERS[form], quoting=quoting)
    writer.writerow(COLUMNS)
    writer.writerows(products(rows, "Größe: runde Scheibe" if form == "german" else "Round disc of wood"))


def _write_xml(file: TextIO, rows: int) -> None:
    file.write('<rss xmlns:g="http://base.google.com/ns/1.0"><channel>\n')
    for product in products(rows):
        cells = zip(COLUMNS, product, strict=True)
        file.write(f"<item>{''.join(f'<g:{name}>{escape(cell)}</g:{name}>' for name, cell in cells)}</item>\n")
    file.write("</channel></rss>\n")


def _write_json(file: TextIO, form: str, rows: int) -> None:
    lines = (json.dumps(dict(zip(COLUMNS, product, strict=True))) for product in products(rows))
    if form == "jsonl":
        file.writelines(f"{line}\n" for line in lines)
        return
    file.write('{"products": [')
    file.writelines(f"{',' if number else ''}{line}" for number, line in enumerate(lines))
    file.write("]}\n")


def _write_parquet(path: Path, rows: int) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = list(zip(*products(rows), strict=True))
    pq.write_table(pa.table(dict(zip(COLUMNS, columns, strict=True))), path, row_group_size=100_000)


def count(rows: Iterable[object], kind: type) -> int:
    return sum(isinstance(row, kind) for row in rows)


def peak_megabytes() -> float:
    """The most memory that this process has had; `ru_maxrss` counts its parent too."""
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) / 1024


def measure(path: Path) -> dict[str, float]:
    """Seconds of both readings, and memory at their ends, in MB."""
    columns = choose_columns(path, ())
    start = peak_megabytes()
    steps: dict[str, Callable[[], int]] = {
        "rows": lambda: count(read_feed(path), object),
        "items": lambda: count(read_items(path, CatalogFormat(columns)), FeedItem),
    }
    found: dict[str, float] = {"start": start}
    for name, step in steps.items():
        began = time.process_time()
        found[f"{name} read"] = step()
        found[name] = time.process_time() - began
    return found | {"peak": peak_megabytes()}


def main(
    rows: Annotated[int, typer.Option(help="Of each feed", min=1)] = 1_000_000,
    forms: Annotated[str, typer.Option(help="Forms of feeds, with commas between them")] = ",".join(FORMS),
    file: Annotated[Path | None, typer.Option(hidden=True)] = None,
) -> None:
    """Rows a second of one core (processor time), and the peak of the memory of the whole process."""
    if file is not None:
        print(json.dumps(measure(file)))
        return
    table = Table("form", "MB", "rows/s", "items/s", "memory before, MB", "peak, MB")
    with TemporaryDirectory(prefix="lookstream-feed-") as folder:
        for form in forms.split(","):
            path = Path(folder) / f"feed-{form}"
            write(path, form, rows)
            words = [sys.executable, "-m", "tests.benchmarks.feed_reading", "--file", str(path)]
            figures = json.loads(subprocess.run(words, check=True, capture_output=True).stdout)
            assert figures["rows read"] == figures["items read"] == rows, figures
            speeds = [f"{rows / figures[name]:,.0f}" for name in ("rows", "items")]
            memory = [f"{figures[name]:,.0f}" for name in ("start", "peak")]
            table.add_row(form, f"{path.stat().st_size / 1e6:,.0f}", *speeds, *memory)
            path.unlink()
    Console().print(describe_machine(), table, highlight=False)


if __name__ == "__main__":
    typer.run(main)
