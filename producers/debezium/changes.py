"""Debezium's change events become item events: what is in the table is in the index, what is not is taken out.

Sources: Debezium's documentation of its connectors, "Data change events" (the envelope: op, before, after, source,
ts_ms), and of the transformation ExtractNewRecordState (the flat form: __op, __deleted, __source_ts_ms).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import ValidationError

from producers.catalog import CatalogFormat, read_item
from producers.debezium.mapping import TableMapping
from producers.debezium.values import NO_FIELDS, Object, objects_in, texts_of
from producers.image_refs import Locate
from producers.row_reader import BadRow, FeedRow, Json, SkippedRow, is_utf8
from schemas.envelope import describe
from schemas.items import ItemDeleted, ItemUpserted

Change = ItemUpserted | ItemDeleted | BadRow | SkippedRow

ROWS, GONE = ("c", "u", "r"), "d"
"""Operations that leave a row: created, updated, read by a snapshot; and the one that takes it away."""


@dataclass(frozen=True)
class RowChange:
    """What one event says: the row and its schema, whether it is gone, and when that was, in ms since 1970."""

    row: Object
    schema: Object | None
    gone: bool
    at_ms: int


@dataclass
class PartitionRevisions:
    """Revisions for the changes of one partition, in their order.

    A revision is the time of the commit in microseconds. All changes of a transaction have one time, in
    milliseconds, so those of one row follow each other by a microsecond. They are the same ones when the changes of
    that millisecond are read again from the first: whoever follows a topic begins again there.
    """

    at_ms: int = -1
    _used: dict[str, int] = field(default_factory=dict)

    def begins(self, at_ms: int) -> bool:
        """Whether a change of this time is the first of it."""
        return at_ms != self.at_ms

    def revision(self, item: str, at_ms: int) -> int:
        """The next revision of an item."""
        if self.begins(at_ms):
            self.at_ms, self._used = at_ms, {}
        self._used[item] = max(at_ms * 1_000, self._used.get(item, 0) + 1)
        return self._used[item]


@dataclass(frozen=True)
class ChangeReader:
    """How the changes of one table are read."""

    mapping: TableMapping
    locate: Locate

    @property
    def reading(self) -> CatalogFormat:
        """How a row of it is read."""
        return CatalogFormat(self.mapping.columns, self.locate, self.mapping.tenant, self.mapping.currency)

    def read(self, said: RowChange, times: PartitionRevisions, line: int) -> ItemUpserted | ItemDeleted | BadRow:
        """The item event of a change."""
        try:
            cells = texts_of(said.row, said.schema)
        except ValueError as error:
            return BadRow(line, str(error))
        column = self.mapping.columns["item_id"]
        item = _as_id(cells.get(column))
        if not item:
            return BadRow(line, f"column `{column}` is empty: it must be in the row, or the key of a deletion")
        revision = times.revision(item, said.at_ms)
        if said.gone or not self._is_item(cells):
            return _deletion(self.mapping.tenant, item, revision, line)
        return read_item(FeedRow(line, cells), self.reading, revision)

    def _is_item(self, cells: Mapping[str, Json]) -> bool:
        return all(_as_word(cells.get(column)) in values for column, values in self.mapping.only.items())


def change_in(value: bytes | str | None, key: bytes | None, line: int) -> RowChange | BadRow | SkippedRow:
    """What a record says: `value` and `key` are JSON, with schemas or without."""
    if value is None:
        return SkippedRow(line, "a tombstone: the deletion came before it")
    event, schema = _payload(value)
    if event is None:
        return BadRow(line, "the value is not a JSON object: have the connector write JSON (JsonConverter)")
    op = event.get("op", event.get("__op"))
    flat = "__deleted" in event or "__op" in event
    if op == "t":
        return BadRow(line, "the table was truncated, which names no rows: `lookstream delete` takes items out")
    if op == "m" or (op is None and not flat and "status" in event):
        return SkippedRow(line, "a message or the mark of a transaction")
    if flat:
        flat_row = {name: each for name, each in event.items() if not name.startswith("__")}
        gone = op == GONE or event.get("__deleted") in ("true", True)
        return _said(flat_row, schema, event.get("__source_ts_ms", event.get("__ts_ms")), line, gone=gone)
    if op not in (*ROWS, GONE):
        return BadRow(line, "the value is no change event of Debezium: it has no `op` of c, u, r or d")
    name, source = ("before" if op == GONE else "after"), event.get("source")
    row, times = event.get(name), source if isinstance(source, dict) else NO_FIELDS
    found = row if isinstance(row, dict) else _payload(key or b"")[0]
    of_row = next((each for each in objects_in(schema or NO_FIELDS, "fields") if each.get("field") == name), None)
    return _said(found, of_row, times.get("ts_ms", event.get("ts_ms")), line, gone=op == GONE)


def _said(row: Object | None, schema: Object | None, at: Json, line: int, *, gone: bool) -> RowChange | BadRow:
    if row is None:
        return BadRow(line, "the change event has no row, nor a key in JSON that names it")
    if not str(at).isdecimal():
        return BadRow(line, "the change event does not say when it was: it has no `ts_ms` (flat: `__source_ts_ms`)")
    return RowChange(row, schema, gone, int(str(at)))


def _payload(text: bytes | str) -> tuple[Object | None, Object | None]:
    """An object in JSON, and its schema if that is around it."""
    try:
        found = json.loads(text, parse_float=str, parse_int=str, parse_constant=str)
    except (ValueError, RecursionError):
        return None, None
    if not isinstance(found, dict):
        return None, None
    if found.keys() == {"schema", "payload"}:
        inner, schema = found["payload"], found["schema"]
        return (inner if isinstance(inner, dict) else None), (schema if isinstance(schema, dict) else None)
    return found, None


def _deletion(tenant: str, item: str, revision: int, line: int) -> ItemDeleted | BadRow:
    try:
        return ItemDeleted(tenant=tenant, item_id=item, revision=revision)
    except ValidationError as error:
        return BadRow(line, describe(error))


def _as_word(value: Json) -> str:
    """A value as a mapping file names it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _as_id(value: Json) -> str:
    return value.strip() if isinstance(value, str) and is_utf8(value) else ""
