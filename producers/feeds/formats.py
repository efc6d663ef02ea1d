"""Feed formats: read catalog feeds of every format and dialect as rows; the content decides the format."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from pathlib import Path

from infra.console import format_count
from producers.feeds import magento, merchant_xml, parquet, shopify, woocommerce
from producers.feeds.column_names import LIST_COLUMNS, column_key
from producers.feeds.dialects import (
    MAGENTO,
    META,
    SHOPIFY,
    SHOPIFY_JSON,
    WOOCOMMERCE,
    Dialect,
    find_dialect,
)
from producers.feeds.feed_file import FeedFormat, ReadOptions, find_format, open_feed
from producers.feeds.json_values import read_objects
from producers.feeds.tables import TableReader
from producers.row_reader import BadRow, FeedRow, Json, RowResult, SkippedRow

LOOK_AHEAD = 1_000
"""Rows of a JSON or XML file that are read to find its columns, because it has no header."""
MAX_DEPTH, MAX_PARTS = 3, 50
"""Most nested objects, and most values of an object, that become columns `object.value`."""
HIDDEN = {"archived", "hidden", "staging"}
"""Values of Meta's columns `status` and `visibility` of hidden products."""
CONVERTERS: Mapping[str, Callable[[Iterator[RowResult]], Iterator[RowResult]]] = {
    SHOPIFY.name: shopify.read_products,
    SHOPIFY_JSON.name: shopify.read_json_products,
    WOOCOMMERCE.name: woocommerce.read_products,
    MAGENTO.name: magento.read_products,
}
"""Converters to rows with Google's columns, for exports in which a row is not one product."""


@dataclass(frozen=True)
class FeedOverview:
    """The results of an inspection of the beginning of a feed."""

    kind: FeedFormat
    description: str
    """How the file is read, for users."""
    names: Mapping[str, str]
    """The columns as rows have them, and as they are written in the file."""
    dialect: Dialect | None
    is_open: bool
    """Whether later rows may have more columns than the inspected ones."""
    has_rows: bool
    first_bad: BadRow | None = None
    remarks: tuple[str, ...] = field(default=())
    """Notes for users, one sentence each."""


def inspect_feed(path: Path, options: ReadOptions | None = None) -> FeedOverview:
    """Inspect the beginning of a feed. Raises BadInput if the file cannot be read, or is no feed."""
    kind = find_format(path, options)
    if kind == "table":
        return _inspect_table(path, options)
    if kind == "parquet":
        names = {column_key(name): name for name in reversed(parquet.read_columns(path))}
        names = dict(reversed(names.items()))
        has_rows = parquet.count_rows(path) > 0
        return FeedOverview(kind, "Parquet", names, find_dialect(names), is_open=False, has_rows=has_rows)
    return _inspect_objects(path, kind, options)


def _inspect_objects(path: Path, kind: FeedFormat, options: ReadOptions | None) -> FeedOverview:
    """Inspect the first rows of a file without a header; they are not stored, because they may be large."""
    names: dict[str, str] = {}
    count, has_rows, first_bad = 0, False, None
    for row in islice(_raw_rows(path, kind, options), LOOK_AHEAD):
        count += 1
        if isinstance(row, FeedRow):
            has_rows = True
            for name in islice(row.cells, MAX_PARTS * MAX_PARTS):
                names.setdefault(column_key(name), name)
        else:
            first_bad = first_bad or row
    with open_feed(path, options) as file:
        file.text.read(1 << 16)
        description = f"{kind.upper()}, {file.describe()}"
    is_open = count == LOOK_AHEAD
    return FeedOverview(kind, description, names, find_dialect(names), is_open, has_rows, first_bad)


def read_feed(path: Path, options: ReadOptions | None = None) -> Iterator[RowResult]:
    """The products of a feed, in order, with Google's columns where it has them, and its own. Raises BadInput."""
    overview = inspect_feed(path, options)
    rows = _keyed_rows(path, overview.kind, options)
    if overview.dialect is not None:
        convert = CONVERTERS.get(overview.dialect.name)
        rows = convert(rows) if convert is not None else _rename(rows, overview.dialect)
    return rows


def _inspect_table(path: Path, options: ReadOptions | None) -> FeedOverview:
    with open_feed(path, options) as file:
        reader = TableReader(file)
        first = next((row for row in islice(reader.rows(), LOOK_AHEAD) if isinstance(row, FeedRow)), None)
        layout, keys = reader.columns.layout, reader.columns.names
        names: dict[str, str] = {}
        for key, name in zip(keys, layout.names, strict=True):
            names.setdefault(key, " ".join(name.split()) or key)
        description = f"a table with {layout.syntax.describe()} between its cells, {file.describe()}"
    above = format_count(len(layout.preamble), "line above the header is", "lines above the header are")
    remarks = [f"{above} left out"] if any(layout.preamble) else []
    repeated = [names[key] for key in names if keys.count(key) > 1]
    if repeated:
        remarks.append(
            f"columns of the same name ({', '.join(repeated[:10])}): the first value counts, of pictures all do"
        )
    return FeedOverview(
        "table",
        description,
        names,
        find_dialect(names),
        is_open=False,
        has_rows=first is not None,
        remarks=tuple(remarks),
    )


def _raw_rows(path: Path, kind: FeedFormat, options: ReadOptions | None) -> Iterator[FeedRow | BadRow]:
    """The rows of a file that has no header, with their columns as they are written."""
    if kind == "parquet":
        return parquet.read_rows(path)
    return merchant_xml.read_products(path, options) if kind == "xml" else _flatten(read_objects(path, options))


def _keyed_rows(path: Path, kind: FeedFormat, options: ReadOptions | None) -> Iterator[RowResult]:
    """The rows of a feed, with the keys of their columns."""
    if kind == "table":
        with open_feed(path, options) as file:
            yield from TableReader(file).rows()
        return
    for row in _raw_rows(path, kind, options):
        yield _with_keys(row) if isinstance(row, FeedRow) else row


def _with_keys(row: FeedRow) -> FeedRow:
    keys, are_unique = _keys_of(tuple(row.cells))
    if are_unique:
        return row if keys is None else FeedRow(row.line, dict(zip(keys, row.cells.values(), strict=True)))
    cells: dict[str, Json] = {}
    for name, value in row.cells.items():
        key = column_key(name)
        before = cells.get(key)
        if before is None or before == "":
            cells[key] = value
        elif key in LIST_COLUMNS and value is not None and value != "":
            cells[key] = [*_as_list(before), *_as_list(value)]
    return FeedRow(row.line, cells)


@lru_cache(maxsize=256)
def _keys_of(names: tuple[str, ...]) -> tuple[tuple[str, ...] | None, bool]:
    """The keys of columns, None if they are the names, and whether no two columns have one key.

    It is cached, because most rows of a feed have the same columns.
    """
    keys = tuple(map(column_key, names))
    return (None if keys == names else keys), len(set(keys)) == len(keys)


def _as_list(value: Json) -> list[Json]:
    return value if isinstance(value, list) else [value]


def _flatten(rows: Iterator[FeedRow | BadRow]) -> Iterator[FeedRow | BadRow]:
    """Rows of JSON; the values of objects in them become columns `object.value` too."""
    for row in rows:
        if isinstance(row, FeedRow) and dict in map(type, row.cells.values()):
            parts: dict[str, Json] = {}
            _add_parts("", row.cells, parts, 0)
            yield FeedRow(row.line, {**parts, **row.cells})
        else:
            yield row


def _add_parts(prefix: str, value: Mapping[str, Json], parts: dict[str, Json], depth: int) -> None:
    for name, part in islice(value.items(), MAX_PARTS if prefix else None):
        if isinstance(part, dict) and depth < MAX_DEPTH:
            _add_parts(f"{prefix}{name}.", part, parts, depth + 1)
        elif prefix:
            parts[prefix + name] = part


def _rename(rows: Iterator[RowResult], dialect: Dialect) -> Iterator[RowResult]:
    """Rows with Google's columns in addition to those of their dialect."""
    for row in rows:
        if not isinstance(row, FeedRow):
            yield row
            continue
        hidden = HIDDEN & {row.cells.get("status"), row.cells.get("visibility")} if dialect is META else None
        if hidden:
            yield SkippedRow(row.line, f"a product that is not on sale: it is {hidden.pop()}")
            continue
        cells = dict(row.cells)
        for column, names in dialect.columns.items():
            value = next((cells[name] for name in names if cells.get(name) not in (None, "", [])), None)
            if value is not None and cells.get(column) in (None, ""):
                cells[column] = _names_of(value) if column in LIST_COLUMNS and column != "image_link" else value
        yield FeedRow(row.line, cells)


def _names_of(value: Json) -> Json:
    """Of a list of objects with names, the names."""
    if isinstance(value, list) and value and all(isinstance(each, dict) and each.get("name") for each in value):
        return [each["name"] for each in value]
    return value
