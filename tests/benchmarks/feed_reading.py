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
from producers.debezium.changes import ChangeReader
from producers.debezium.follow import read_change_items
from producers.debezium.mapping import TableMapping
from producers.feed_item import FeedItem, FeedResult
from producers.feeds.formats import read_feed
from producers.feeds.json_values import read_objects
from producers.image_refs import refuse_paths
from producers.row_reader import FeedRow
from producers.social.posts import SocialFormat, read_posts

COLUMNS = ("id", "title", "link", "image_link", "price", "availability", "product_type", "brand")
DELIMITERS = {"csv": ",", "tsv": "\t", "quoted": ",", "gz": ",", "german": ";"}
EXPORTS = {
    "shopify": (
        "Handle,Title,Body (HTML),Vendor,Type,Tags,Published,Variant SKU,Variant Inventory Qty,Variant Price,"
        "Image Src,Image Position,Status",
        'disc-{n},"{title}, size {n}",<p>Round.</p>,Round,Discs,"round, wood",true,D-{n},5,{price},{picture},1,'
        "active",
    ),
    "woocommerce": (
        "ID,Type,SKU,Name,Published,Visibility in catalog,In stock?,Stock,Regular price,Categories,Tags,Images,"
        "Parent",
        '{n},simple,D-{n},"{title}, size {n}",1,visible,1,5,{price},Toys > Discs,"round, wood",{picture},',
    ),
}
"""Headers and rows of the exports of shops."""
DEBEZIUM = (
    '{{"before":null,"after":{{"id":{n},"name":"{title} {n}","photo":"{picture}","price":"{price}",'
    '"kind":"Discs"}},"source":{{"connector":"postgresql","ts_ms":1769000000000,"table":"products"}},"op":"c","ts_ms":1769000000001}}'
)
POST = (
    '{{"@context":"https://www.w3.org/ns/activitystreams","type":"Create","id":"{link}/activity",'
    '"actor":"https://shop.example/users/ann","published":"2026-01-10T09:00:00Z","object":{{"type":"Note",'
    '"id":"{link}","published":"2026-01-10T09:00:00Z","content":"<p>{title} {n}</p>","tag":[],"attachment":'
    '[{{"type":"Document","mediaType":"image/jpeg","url":"{picture}","width":1200,"height":900}}]}}}}'
)
SHIPPED_XML = (
    "  <item>\n    <g:id>{n}</g:id>\n    <title><![CDATA[{title} {n}]]></title>\n"
    "    <link>{link}?a=1&amp;b=2</link>\n"
    "    <g:image_link>{picture}</g:image_link>\n    <g:price>{price} EUR</g:price>\n"
    "    <g:availability>in stock</g:availability>\n    <g:shipping>\n      <g:country>DE</g:country>\n"
    "      <g:price>4.90 EUR</g:price>\n    </g:shipping>\n  </item>"
)
XML_HEAD, XML_END = '<rss xmlns:g="http://base.google.com/ns/1.0"><channel>', "</channel></rss>"
TEMPLATES = {
    **{form: (head, row, "") for form, (head, row) in EXPORTS.items()},
    "debezium": ("", DEBEZIUM, ""),
    "posts": ("", POST, ""),
    "shipped": (XML_HEAD, SHIPPED_XML, XML_END),
}
"""The text above the products, a product, and the text below. `shipped` is XML as plugins of shops write it."""
FORMS = (*DELIMITERS, "jsonl", "json", "xml", "parquet", *TEMPLATES)


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
        elif form in TEMPLATES:
            _write_template(file, form, rows)
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
    file.write(f"{XML_HEAD}\n")
    for product in products(rows):
        cells = zip(COLUMNS, product, strict=True)
        file.write(f"<item>{''.join(f'<g:{name}>{escape(cell)}</g:{name}>' for name, cell in cells)}</item>\n")
    file.write(f"{XML_END}\n")


def _write_template(file: TextIO, form: str, rows: int) -> None:
    head, product, end = TEMPLATES[form]
    file.write(f"{head}\n" if head else "")
    for number in range(rows):
        link = f"https://shop.example/products/{number}"
        facts = {"link": link, "picture": f"{link}.jpg", "price": f"{number % 500}.90"}
        file.write(product.format(n=number, title="Round disc of wood", **facts) + "\n")
    file.write(end)


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


def read_form(path: Path, form: str) -> Iterator[FeedResult]:
    """The items of a feed, read as the command for its form does."""
    if form == "debezium":
        columns = {"item_id": "id", "title": "name", "image": "photo", "price": "price", "category": "kind"}
        return read_change_items(path, ChangeReader(TableMapping(columns=columns, currency="EUR"), refuse_paths))
    if form == "posts":
        return read_posts(path, SocialFormat())
    return read_items(path, CatalogFormat(choose_columns(path, ()), currency="EUR"))


def measure(path: Path, form: str) -> dict[str, float]:
    """Seconds of both readings, and memory at their ends, in MB."""
    start = peak_megabytes()
    read_rows = read_objects if form in ("debezium", "posts") else read_feed
    steps: dict[str, Callable[[], int]] = {
        "rows": lambda: count(read_rows(path), FeedRow),
        "items": lambda: count(read_form(path, form), FeedItem),
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
        print(json.dumps(measure(file, forms)))
        return
    table = Table("form", "MB", "rows/s", "items/s", "memory before, MB", "peak, MB")
    with TemporaryDirectory(prefix="lookstream-feed-") as folder:
        for form in forms.split(","):
            path = Path(folder) / f"feed-{form}"
            write(path, form, rows)
            words = [sys.executable, "-m", "tests.benchmarks.feed_reading", "--file", str(path), "--forms", form]
            figures = json.loads(subprocess.run(words, check=True, capture_output=True).stdout)
            assert figures["rows read"] == figures["items read"] == rows, figures
            speeds = [f"{rows / figures[name]:,.0f}" for name in ("rows", "items")]
            memory = [f"{figures[name]:,.0f}" for name in ("start", "peak")]
            table.add_row(form, f"{path.stat().st_size / 1e6:,.0f}", *speeds, *memory)
            path.unlink()
    Console().print(describe_machine(), table, highlight=False)


if __name__ == "__main__":
    typer.run(main)
