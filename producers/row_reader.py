"""Row reader: read CSV, TSV and JSONL feeds row by row with line numbers; a bad line does not affect the others."""

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

from infra.config.errors import BadInput
from schemas.envelope import describe
from schemas.items import ItemDeleted, ItemFacts

DELIMITERS = {".csv": ",", ".tsv": "\t", ".tab": "\t", ".txt": "\t"}
JSON_LINES = (".jsonl", ".ndjson")
LOOK_AHEAD = 1_000
"""Lines of a JSONL file that are read to find its columns, because it has no header."""

Json = object
"""A parsed JSON value; numbers stay text, so that 19.90 stays 19.90."""
JsonObject = Mapping[str, Json]


@dataclass(frozen=True)
class BadRow:
    """A row that cannot be used: its line in the file, from 1, and one sentence with the reason."""

    line: int
    message: str


@dataclass(frozen=True)
class SkippedRow:
    """A valid row that is no item event, with its line and the reason."""

    line: int
    message: str


@dataclass(frozen=True)
class FeedRow:
    """One row of a feed: the line where it starts, and its cells by column."""

    line: int
    cells: Mapping[str, Json]


def read_table_columns(path: Path) -> list[str]:
    """The columns of a feed; raises BadInput if the file is missing or its format is unknown."""
    if path.suffix.lower() in JSON_LINES:
        rows = itertools.islice(read_objects(path), LOOK_AHEAD)
        return list(dict.fromkeys(name for row in rows if isinstance(row, FeedRow) for name in row.cells))
    with open_feed(path) as file:
        return _header(file, _delimiter(path))


def read_rows(path: Path) -> Iterator[FeedRow | BadRow]:
    """The rows of a feed, in order; the file suffix determines the format."""
    return read_objects(path) if path.suffix.lower() in JSON_LINES else _read_table(path)


def open_feed(path: Path) -> TextIO:
    """Open a feed as text; non-UTF-8 bytes become lone surrogates, which `is_utf8` detects. Raises BadInput."""
    try:
        return path.open(encoding="utf-8-sig", errors="surrogateescape", newline="")
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {(error.strerror or 'unknown reason').lower()}") from None


def is_utf8(text: str) -> bool:
    """Whether a text from `open_feed` was valid UTF-8."""
    return text.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in text)


def read_objects(path: Path) -> Iterator[FeedRow | BadRow]:
    """The objects of a JSONL file, one per line; empty lines are skipped."""
    with open_feed(path) as file:
        for line, text in enumerate(file, 1):
            if text.strip():
                yield _parse_object(line, text)


def count_lines(path: Path) -> int:
    """Number of lines of a file, which is the number of its rows or slightly more; raises BadInput."""
    with open_feed(path) as file:
        return sum(chunk.count("\n") for chunk in iter(lambda: file.read(1 << 20), ""))


def check_defaults(tenant: str, currency: str | None = None) -> None:
    """Raise BadInput if the defaults for all rows are invalid, so that the error is reported once, not per row."""
    try:
        ItemDeleted(tenant=tenant, item_id="any", revision=1)
        ItemFacts(currency=currency)
    except ValidationError as error:
        raise BadInput(f"the options are invalid: {describe(error)}") from None


def parse_time(text: str) -> datetime:
    """Parse an ISO 8601 date or time; without an offset it is UTC. Raises ValueError with a user message."""
    try:
        parsed = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(f"`{text[:80]}` is no ISO 8601 date or time, as 2026-01-31T12:00:00Z") from None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def revisions() -> Iterator[int]:
    """Endless, strictly increasing revisions: the present time in microseconds since 1970."""
    last = 0
    while True:
        last = max(last + 1, time.time_ns() // 1_000)
        yield last


def _parse_object(line: int, text: str) -> FeedRow | BadRow:
    if not is_utf8(text):
        return BadRow(line, "the line is not UTF-8: save the file as UTF-8")
    try:
        # Numbers stay text, as they are written.
        cells = json.loads(text, parse_float=str, parse_int=str, parse_constant=str)
    except (ValueError, RecursionError):
        return BadRow(line, f"the line is not JSON: it starts {text.strip()[:24]!r}")
    return FeedRow(line, cells) if isinstance(cells, dict) else BadRow(line, "the line is not a JSON object")


def _delimiter(path: Path) -> str:
    delimiter = DELIMITERS.get(path.suffix.lower())
    if delimiter is None:
        known = ", ".join((*DELIMITERS, *JSON_LINES, ".xml"))
        raise BadInput(f"{path} is of no kind that is read ({known}): rename or convert it")
    return delimiter


def _header(file: TextIO, delimiter: str) -> list[str]:
    try:
        names = [name.strip() for name in next(csv.reader(file, delimiter=delimiter), [])]
    except csv.Error as error:
        raise BadInput(f"{file.name} is no table: {error}") from None
    if not any(names):
        raise BadInput(f"{file.name} is empty: its first line must name the columns")
    duplicates = sorted({name for name in names if names.count(name) > 1})
    if duplicates:
        raise BadInput(f"{file.name} names a column twice: {', '.join(duplicates)}")
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
