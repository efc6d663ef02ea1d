"""Feed files, row by row: CSV, TSV and JSONL, with line numbers, where one bad line spoils no other."""

import csv
import itertools
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from pydantic import ValidationError

from infra.console import BadInput
from schemas.envelope import describe
from schemas.items import ItemDeleted, ItemFacts

DELIMITERS = {".csv": ",", ".tsv": "\t", ".tab": "\t", ".txt": "\t"}
JSON_LINES = (".jsonl", ".ndjson")
LOOK_AHEAD = 1_000
"""Lines of a JSONL file whose keys count as its columns: it has no header."""

Json = object
"""What a JSON text holds; numbers arrive as text, so that 19.90 stays 19.90."""


@dataclass(frozen=True)
class BadRow:
    """A row that could not be used: its line in the file, from 1, and one sentence with the reason."""

    line: int
    message: str


@dataclass(frozen=True)
class SkippedRow:
    """A row that is fine and not for us."""

    line: int
    message: str


@dataclass(frozen=True)
class FeedRow:
    """One row of a feed: the line where it starts, and its cells by column."""

    line: int
    cells: Mapping[str, Json]


def read_table_columns(path: Path) -> list[str]:
    """The columns of a feed; raises BadInput when there is no such file, or none of a kind that is read."""
    if path.suffix.lower() in JSON_LINES:
        rows = itertools.islice(read_objects(path), LOOK_AHEAD)
        return list(dict.fromkeys(name for row in rows if isinstance(row, FeedRow) for name in row.cells))
    with open_feed(path) as file:
        return _header(file, _delimiter(path))


def read_rows(path: Path) -> Iterator[FeedRow | BadRow]:
    """The rows of a feed, in order; the kind of file goes by its suffix."""
    return read_objects(path) if path.suffix.lower() in JSON_LINES else _read_table(path)


def open_feed(path: Path) -> TextIO:
    """The file as text; bytes that are not UTF-8 become lone surrogates, which `is_utf8` finds."""
    try:
        return path.open(encoding="utf-8-sig", errors="surrogateescape", newline="")
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {(error.strerror or 'unknown reason').lower()}") from None


def is_utf8(text: str) -> bool:
    """Whether text read by open_feed was UTF-8."""
    return text.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in text)


def read_objects(path: Path) -> Iterator[FeedRow | BadRow]:
    """The objects of a JSONL file, one a line; empty lines are passed over."""
    with open_feed(path) as file:
        for line, text in enumerate(file, 1):
            if text.strip():
                yield _parse_object(line, text)


def count_lines(path: Path) -> int:
    """How many lines a file has: the number of its rows, or a little more; raises BadInput."""
    with open_feed(path) as file:
        return sum(chunk.count("\n") for chunk in iter(lambda: file.read(1 << 20), ""))


def check_defaults(tenant: str, currency: str | None = None) -> None:
    """Raise BadInput when what every row would get makes no sense: once, and not for each row."""
    try:
        ItemDeleted(tenant=tenant, item_id="any", revision=1)
        ItemFacts(currency=currency)
    except ValidationError as error:
        raise BadInput(f"the options make no sense: {describe(error)}") from None


def moment(text: str) -> datetime:
    """An ISO 8601 date or time; without an offset it is taken as UTC. Raises ValueError with a sentence."""
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(f"`{text[:80]}` is no ISO 8601 date or time, as 2026-01-31T12:00:00Z") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def revisions() -> Iterator[int]:
    """The time now in microseconds since 1970, again and again, each above the one before."""
    last = 0
    while True:
        last = max(last + 1, time.time_ns() // 1_000)
        yield last


def _parse_object(line: int, text: str) -> FeedRow | BadRow:
    if not is_utf8(text):
        return BadRow(line, "the line is not UTF-8: save the file as UTF-8")
    try:
        # A number stays the text that it is written as.
        cells = json.loads(text, parse_float=str, parse_int=str, parse_constant=str)
    except (ValueError, RecursionError):
        return BadRow(line, f"the line is not JSON: it starts {text.strip()[:24]!r}")
    return FeedRow(line, cells) if isinstance(cells, dict) else BadRow(line, "the line is not a JSON object")


def _delimiter(path: Path) -> str:
    found = DELIMITERS.get(path.suffix.lower())
    if found is None:
        known = ", ".join((*DELIMITERS, *JSON_LINES, ".xml"))
        raise BadInput(f"{path} is of no kind that is read ({known}): rename or convert it")
    return found


def _header(file: TextIO, delimiter: str) -> list[str]:
    try:
        names = [name.strip() for name in next(csv.reader(file, delimiter=delimiter), [])]
    except csv.Error as error:
        raise BadInput(f"{file.name} is no table: {error}") from None
    if not any(names):
        raise BadInput(f"{file.name} is empty: its first line must name the columns")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise BadInput(f"{file.name} names a column twice: {', '.join(twice)}")
    return names


def _read_table(path: Path) -> Iterator[FeedRow | BadRow]:
    delimiter = _delimiter(path)
    with open_feed(path) as file:
        names = _header(file, delimiter)
        reader = csv.reader(file, delimiter=delimiter)
        while True:
            line = reader.line_num + 2  # the header, and counting from 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield BadRow(line, f"the row is not readable: {error}")
                continue
            if any(cells):
                yield _table_row(line, names, cells)


def _table_row(line: int, names: list[str], cells: list[str]) -> FeedRow | BadRow:
    if len(cells) > len(names):
        return BadRow(line, f"the row has {len(cells)} cells, the header {len(names)}: quote cells with delimiters")
    if not all(map(is_utf8, cells)):
        return BadRow(line, "the row is not UTF-8: save the file as UTF-8")
    return FeedRow(line, dict(zip(names, cells, strict=False)))
