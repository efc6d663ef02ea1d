"""Mutated feeds: each must give only rows, bad rows with their lines, skipped rows or BadInput.

python -m tests.fuzz.feeds [--count 10000] [--seed 1] [--only NAME] [--keep FOLDER]

A corpus of feeds is made for every format, dialect, encoding and compression, and of posts and change events. Each
is mutated: its cells, its quotes, its encoding, its bytes. What is checked: no other exception; at most SECONDS for
one; each bad row has a line; and where one record is mutated, every record that is not next to it is still read.
"""

import bz2
import csv
import gzip
import io
import json
import lzma
import random
import sys
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Annotated, Literal, Self

import typer
import zstandard
from rich.console import Console
from rich.table import Table

from infra.config.errors import BadInput
from producers.catalog import CatalogFormat, read_items
from producers.column_mapping import choose_columns
from producers.debezium.changes import ChangeReader
from producers.debezium.follow import read_change_items
from producers.debezium.mapping import TableMapping
from producers.feed_item import FeedItem, FeedResult
from producers.feeds.formats import read_feed
from producers.image_refs import refuse_paths
from producers.row_reader import BadRow, FeedRow, SkippedRow
from producers.social.posts import SocialFormat, read_posts

SECONDS = 5.0
RECORDS = 30
SAMPLES = Path(__file__).parents[1] / "producers/samples"
WORDS = (
    "Red disc",
    "Größe 42",
    "Café, rond",
    "Ботинки",
    "赤い靴",
    'Pipe 5"',
    "a; b | c",
    "<b>bold</b> & more",
    "x\ty",
)
TOKENS = (
    '"', "'", '""', "\\", '\\"', ",", ";", "\t", "|", "\n", "\r", "\r\n", "\0", "{", "}", "[", "]", ":", "<", ">",
    "&", "/", "&nbsp;", "&#0;", "]]>", "=", "#", "\ufeff", "\x1a", "\u2028", "é", "赤", "null", "1e999", "-1", " ",
    "://", "--", "g:",
)  # fmt: skip
LARGE = ("x" * 70_000, '"' * 5_000, "[" * 3_000, "<a>" * 40, "\n" * 3_000, "," * 3_000, "&" * 2_000)


@dataclass(frozen=True)
class Feed:
    """A feed of the corpus: records in text, and how they become a file."""

    name: str
    suffix: str
    head: str
    records: Sequence[str]
    """Each holds the id `id-NUMBER` in the form `item_of` gives."""
    tail: str = ""
    encoding: str = "utf-8"
    pack: Callable[[bytes], bytes] = bytes
    are_rows: bool = True
    """Whether each record is a row of its own, so that the others must stay."""
    read: Callable[[Path], Iterator[FeedResult]] | None = None
    """Reads the items of a file; None for catalogs."""

    def data(self, records: Sequence[str] | None = None) -> bytes:
        """The bytes of the file."""
        text = self.head + "".join(self.records if records is None else records) + self.tail
        return self.pack(text.encode(self.encoding, "replace"))


@dataclass
class Tally:
    """The results of the mutated feeds of a kind."""

    feeds: int = 0
    rows: int = 0
    bad: int = 0
    refused: int = 0
    slowest: float = 0.0
    failures: list[str] = field(default_factory=list)


class ErrorCatcher:
    """Ends a block at any error, and holds it: here every one is a finding."""

    def __init__(self) -> None:
        self.error: BaseException | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self.error = error
        return isinstance(error, Exception)


def item_of(number: int) -> dict[str, str]:
    """The cells of a record."""
    return {
        "id": f"id-{number}",
        "title": WORDS[number % len(WORDS)],
        "image_link": f"https://shop.example/{number}.jpg",
        "price": f"{number}.50 EUR",
        "availability": "in_stock",
        "brand": "Round",
    }


def table(
    name: str, delimiter: str, quoting: Literal[0, 1] = csv.QUOTE_MINIMAL, words: Sequence[str] = WORDS
) -> Feed:
    lines = []
    for number in range(RECORDS):
        out = io.StringIO()
        cells = {**item_of(number), "title": words[number % len(words)]}
        writer = csv.writer(out, delimiter=delimiter, quoting=quoting, lineterminator="\n")
        writer.writerow(cells.values())
        lines.append(out.getvalue())
    return Feed(name, ".csv", delimiter.join(item_of(0)) + "\n", lines)


def xml(name: str, head: str, form: str, tail: str) -> Feed:
    def element(key: str, value: str) -> str:
        from xml.sax.saxutils import escape

        return f"<{form}{key}>{escape(value)}</{form}{key}>"

    product = "entry" if "<feed" in head else "offer" if "<offers" in head else "item"
    records = [
        f"<{product}>{''.join(element(*cell) for cell in item_of(number).items())}</{product}>\n"
        for number in range(RECORDS)
    ]
    return Feed(name, ".xml", head, records, tail)


def objects(name: str, head: str, tail: str, indent: int | None = None, between: str = ",\n") -> Feed:
    texts = [json.dumps(item_of(number), ensure_ascii=number % 2 == 0, indent=indent) for number in range(RECORDS)]
    records = [text + (between if number < RECORDS - 1 else "\n") for number, text in enumerate(texts)]
    return Feed(name, ".json", head, records, tail)


def zipped(data: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("feed.csv", data)
    return out.getvalue()


def parquet(data: bytes) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([item_of(number) for number in range(RECORDS)]), out)
    return out.getvalue()


def post_of(number: int) -> dict[str, object]:
    """A post with a picture, and the activity that creates it."""
    cells = item_of(number)
    picture = {
        "type": "Document",
        "mediaType": "image/jpeg",
        "url": cells["image_link"],
        "width": 100,
        "height": 80,
    }
    post = {"type": "Note", "id": cells["id"], "content": f"<p>{cells['title']}</p>", "attachment": [picture]}
    return {"type": "Create", "id": f"{cells['id']}/activity", "published": "2026-01-10T09:00:00Z", "object": post}


def change_of(number: int) -> dict[str, object]:
    """The change of a row of a table."""
    return {"op": "c", "before": None, "after": item_of(number), "source": {"ts_ms": 1_769_000_000_000 + number}}


def read_changes(path: Path) -> Iterator[FeedResult]:
    """The item events of change events."""
    columns = {"item_id": "id", "title": "title", "image": "image_link", "price": "price"}
    return read_change_items(path, ChangeReader(TableMapping(columns=columns), refuse_paths))


def events() -> list[Feed]:
    """Posts and change events, one a line, and a collection of posts."""
    posts, changes = (
        [f"{json.dumps(make(number), ensure_ascii=number % 2 == 0)}\n" for number in range(RECORDS)]
        for make in (post_of, change_of)
    )
    flat = [
        f'{{"id": "id-{number}"}}\t{json.dumps(item_of(number) | {"__op": "c", "__source_ts_ms": number + 1})}\n'
        for number in range(RECORDS)
    ]
    outbox = [post.replace("\n", ",\n" if number < RECORDS - 1 else "\n") for number, post in enumerate(posts)]
    read = partial(read_posts, social_format=SocialFormat())
    return [
        Feed("posts", ".jsonl", "", posts, read=read),
        Feed("outbox", ".json", '{"type": "OrderedCollection", "orderedItems": [\n', outbox, "]}\n", read=read),
        Feed("change events", ".jsonl", "", changes, read=read_changes),
        Feed("flat change events", ".txt", "", flat, read=read_changes),
    ]


def corpus() -> list[Feed]:
    """A feed of every kind."""
    plain = table("csv", ",")
    latin = [word for word in WORDS if word.isascii() or "é" in word or "ö" in word]
    lines = [*plain.records[:3], 'm,"First\nsecond, and\n""third""",https://shop.example/m.jpg,1,in_stock,b\n']
    packs: dict[str, Callable[[bytes], bytes]] = {
        "gzip": gzip.compress,
        "bzip2": bz2.compress,
        "xz": lzma.compress,
        "zstd": zstandard.compress,
        "zip": zipped,
    }
    encodings = {
        "utf-16": WORDS,
        "utf-16-le": WORDS,
        "cp1252": latin,
        "cp1251": WORDS[3:4],
        "gb18030": ("红色皮鞋",),
    }
    return [
        plain,
        table("tsv", "\t"),
        table("csv with ;", ";"),
        table("csv with |", "|"),
        table("csv quoted", ",", csv.QUOTE_ALL),
        Feed("csv with lines in cells", ".csv", plain.head, [*lines, *plain.records[3:]]),
        objects("json lines", "", "", between="\n"),
        objects("json array", "[\n", "]\n"),
        objects("json compact", "[", "]", between=","),
        objects("json pretty", "[\n", "]\n", indent=2),
        objects("json wrapped", '{"products": [', "]}"),
        xml("rss", '<rss xmlns:g="http://base.google.com/ns/1.0"><channel>\n', "g:", "</channel></rss>\n"),
        xml("rss undeclared", "<rss><channel><title>Shop</title>\n", "g:", "</channel></rss>\n"),
        xml("atom", '<feed xmlns="http://www.w3.org/2005/Atom">\n', "", "</feed>\n"),
        xml("yml", "<yml_catalog><shop><offers>\n", "", "</offers></shop></yml_catalog>\n"),
        *(
            Feed(encoding, ".csv", plain.head, table("", ",", words=words).records, "", encoding)
            for encoding, words in encodings.items()
        ),
        *(Feed(name, ".csv", plain.head, plain.records, pack=pack, are_rows=False) for name, pack in packs.items()),
        Feed("parquet", ".parquet", "", [], pack=parquet, are_rows=False),
        *events(),
        *(
            Feed(
                path.name,
                path.suffix,
                "",
                path.read_text(encoding="utf-8").splitlines(keepends=True),
                are_rows=False,
            )
            for path in sorted(SAMPLES.iterdir())
            if path.suffix in (".csv", ".tsv", ".xml")
        ),
    ]


def mutate_text(text: str, random_: random.Random) -> str:
    """A record with a change."""
    place = random_.randrange(len(text) + 1)
    match random_.randrange(7):
        case 0:
            return text[:place] + random_.choice(TOKENS) + text[place:]
        case 1:
            return text[:place] + text[place + random_.randrange(1, 6) :]
        case 2:
            return text[:place] + random_.choice(TOKENS) + text[place + 1 :]
        case 3:
            other = random_.randrange(len(text) + 1)
            return text[: min(place, other)] + text[max(place, other) :]
        case 4:
            return text[:place] + text[place // 2 : place] + text[place:]
        case 5:
            return text[:place] + random_.choice(LARGE) + text[place:]
        case _:
            return "".join(random_.choice((letter, letter, letter, "\ud800", '"')) for letter in text)


def mutate_bytes(data: bytes, random_: random.Random) -> bytes:
    """A file with some changes."""
    changed = bytearray(data)
    for _ in range(random_.choice((1, 1, 2, 5, 20))):
        place = random_.randrange(len(changed) + 1)
        match random_.randrange(5):
            case 0:
                changed[place : place + 1] = bytes([random_.randrange(256)])
            case 1:
                del changed[place : place + random_.randrange(1, 40)]
            case 2:
                changed[place:place] = random_.randbytes(random_.randrange(1, 9))
            case 3:
                del changed[max(place, len(changed) // 3) :]
            case _:
                changed[place:place] = changed[place // 2 : place // 2 + random_.randrange(200)]
    return bytes(changed)


def is_local(before: str, after: str) -> bool:
    """Whether a mutated record still ends where it ended, so that it is known which records are next to it."""
    return after.endswith(before[-1:]) and "<!" not in after and "<?" not in after


def check(feed: Feed, random_: random.Random, folder: Path, tally: Tally) -> None:
    """Mutate a feed once, read it, and record what is wrong."""
    untouched: set[str] = set()
    if random_.random() < 0.6 and feed.records:
        at = random_.randrange(len(feed.records))
        record = mutate_text(feed.records[at], random_)
        data = feed.pack(
            (feed.head + "".join([*feed.records[:at], record, *feed.records[at + 1 :]]) + feed.tail).encode(
                feed.encoding, "replace" if feed.encoding != "utf-8" else "surrogatepass"
            )
        )
        if feed.are_rows and is_local(feed.records[at], record) and feed.encoding == "utf-8":
            untouched = {f"id-{n}" for n in range(RECORDS) if abs(n - at) > 1 and n < len(feed.records)}
    else:
        data = mutate_bytes(feed.data(), random_)
    path = folder / f"feed{feed.suffix}"
    path.write_bytes(data)
    started = time.process_time()
    problem = None
    with ErrorCatcher() as caught:
        problem = _read(path, tally, untouched) if feed.read is None else _read_events(feed, path, tally, untouched)
    if isinstance(caught.error, BadInput):
        tally.refused += 1
        problem = (
            None if str(caught.error).isprintable() else f"a message with control characters: {caught.error!r}"
        )
    elif caught.error is not None:
        problem = f"{type(caught.error).__name__}: {caught.error}"
    took = time.process_time() - started
    tally.feeds, tally.slowest = tally.feeds + 1, max(tally.slowest, took)
    if took > SECONDS:
        problem = f"it took {took:.1f} s"
    if problem:
        tally.failures.append(problem)


def _read(path: Path, tally: Tally, untouched: set[str]) -> str | None:
    """Read a feed, first its rows and then its items; returns what is wrong."""
    rows = list(read_feed(path))
    for row in rows:
        if not isinstance(row, FeedRow | BadRow | SkippedRow) or row.line < 0:
            return f"no row: {row!r}"
    tally.rows += sum(isinstance(row, FeedRow) for row in rows)
    tally.bad += sum(isinstance(row, BadRow) for row in rows)
    items = list(read_items(path, CatalogFormat(choose_columns(path, ()))))
    if len(items) != len(rows):
        return f"{len(rows)} rows and {len(items)} items"
    ids = Counter(str(row.cells.get("id")) for row in rows if isinstance(row, FeedRow))
    lost = {name for name in untouched if not ids[name]}
    return f"lost without a word: {', '.join(sorted(lost))}" if lost else None


def _read_events(feed: Feed, path: Path, tally: Tally, untouched: set[str]) -> str | None:
    """Read posts or change events; returns what is wrong."""
    results = [] if feed.read is None else list(feed.read(path))
    if any(result.line < 1 for result in results):
        return "a result without a line"
    items = Counter(result.event.item_id for result in results if isinstance(result, FeedItem))
    tally.rows += items.total()
    tally.bad += sum(isinstance(result, BadRow) for result in results)
    lost = {name for name in untouched if not items[name]}
    return f"lost without a word: {', '.join(sorted(lost))}" if lost else None


def fuzz(count: int, seed: int, only: str = "", keep: Path | None = None) -> Iterator[tuple[str, Tally]]:
    """Mutate each feed of the corpus in turn, `count` times in all."""
    feeds = [feed for feed in corpus() if only in feed.name]
    tallies = {feed.name: Tally() for feed in feeds}
    with TemporaryDirectory(prefix="lookstream-feeds-") as folder:
        for number in range(count):
            feed = feeds[number % len(feeds)]
            tally = tallies[feed.name]
            known = len(tally.failures)
            check(feed, random.Random(f"{seed}/{number}"), Path(folder), tally)
            if keep is not None and len(tally.failures) > known:
                saved = keep / f"{feed.name.replace(' ', '-')}-{number}{feed.suffix}"
                saved.write_bytes((Path(folder) / f"feed{feed.suffix}").read_bytes())
    yield from tallies.items()


def main(
    count: Annotated[int, typer.Option(help="Mutated feeds", min=1)] = 10_000,
    seed: Annotated[int, typer.Option()] = 1,
    only: Annotated[str, typer.Option(help="Part of the names of the feeds to mutate")] = "",
    keep: Annotated[Path | None, typer.Option(help="Folder for the feeds that fail")] = None,
) -> None:
    """Mutate feeds, and print the results; exits with 1 if anything was wrong."""
    import resource

    console, result = Console(), Table("feed", "mutated", "rows", "bad rows", "refused", "slowest, s", "wrong")
    wrong = []
    for name, tally in fuzz(count, seed, only, keep):
        figures = (tally.feeds, tally.rows, tally.bad, tally.refused)
        result.add_row(name, *(f"{n:,}" for n in figures), f"{tally.slowest:.2f}", str(len(tally.failures)))
        wrong += [f"{name}: {failure}" for failure in tally.failures]
    console.print(result, highlight=False)
    console.print(
        f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB", highlight=False
    )
    for line in wrong[:40]:
        console.print(line[:300], markup=False, highlight=False)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    typer.run(main)
