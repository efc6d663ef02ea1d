"""Change events: turn Debezium change events of a table into item events, so that the index mirrors the table.

Sources: Debezium's documentation of its connectors, "Data change events" (the envelope: op, before, after, source,
ts_ms), and of the transformation ExtractNewRecordState (the flat form: __op, __deleted, __source_ts_ms).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import ValidationError

from producers.catalog import CatalogFormat, read_item
from producers.debezium.mapping import TableMapping
from producers.debezium.values import NO_FIELDS, cells_of, objects_in
from producers.feeds.feed_file import is_utf8
from producers.image_refs import Locate
from producers.row_reader import BadRow, FeedRow, Json, JsonObject, SkippedRow
from schemas.envelope import describe
from schemas.items import ItemDeleted, ItemUpserted

Change = ItemUpserted | ItemDeleted | BadRow | SkippedRow

UPSERT_OPS, DELETE_OP = ("c", "u", "r"), "d"
"""Operations after which the row exists (created, updated, read by a snapshot), and the one that deletes it."""


@dataclass(frozen=True)
class RowChange:
    """One change event: the row and its schema, whether it was deleted, and the time of change in ms since 1970."""

    row: JsonObject
    schema: JsonObject | None
    is_deleted: bool
    at_ms: int


@dataclass
class PartitionRevisions:
    """Assigns revisions to the changes of one partition, in order.

    A revision is the commit time in microseconds. All changes of a transaction have the same time in milliseconds,
    so further changes of a row add one microsecond each. The revisions are reproducible if all changes of that
    millisecond are read again from the first one, which is where ChangeFollower resumes.
    """

    at_ms: int = -1
    _last: dict[str, int] = field(default_factory=dict)

    def is_new_time(self, at_ms: int) -> bool:
        """Whether a change of this time is the first one of its millisecond."""
        return at_ms != self.at_ms

    def revision(self, item: str, at_ms: int) -> int:
        """The next revision of an item for a change at this time."""
        if self.is_new_time(at_ms):
            self.at_ms, self._last = at_ms, {}
        self._last[item] = max(at_ms * 1_000, self._last.get(item, 0) + 1)
        return self._last[item]


@dataclass(frozen=True)
class ChangeReader:
    """Reads the change events of one table as item events."""

    mapping: TableMapping
    locate: Locate

    @property
    def row_format(self) -> CatalogFormat:
        return CatalogFormat(self.mapping.columns, self.locate, self.mapping.tenant, self.mapping.currency)

    def read(self, change: RowChange, times: PartitionRevisions, line: int) -> ItemUpserted | ItemDeleted | BadRow:
        """The item event of a change; a row that does not satisfy `mapping.only` becomes a deletion."""
        try:
            cells = cells_of(change.row, change.schema)
        except ValueError as error:
            return BadRow(line, str(error))
        column = self.mapping.columns["item_id"]
        item = _as_id(cells.get(column))
        if not item:
            return BadRow(line, f"column `{column}` is empty: it must be in the row, or the key of a deletion")
        revision = times.revision(item, change.at_ms)
        if change.is_deleted or not self._is_item(cells):
            return _deletion(self.mapping.tenant, item, revision, line)
        return read_item(FeedRow(line, cells), self.row_format, revision)

    def _is_item(self, cells: Mapping[str, Json]) -> bool:
        return all(_as_text(cells.get(column)) in values for column, values in self.mapping.only.items())


def parse_change(value: bytes | str | None, key: bytes | None, line: int) -> RowChange | BadRow | SkippedRow:
    """Parse a record; `value` and `key` are JSON, with or without schemas."""
    if value is None:
        return SkippedRow(line, "a tombstone: the deletion came before it")
    event, schema = _payload(value)
    if event is None:
        return BadRow(line, "the value is not a JSON object: have the connector write JSON (JsonConverter)")
    op = event.get("op", event.get("__op"))
    is_flat = "__deleted" in event or "__op" in event
    if op == "t":
        return BadRow(line, "the table was truncated, which names no rows: `lookstream delete` takes items out")
    if op == "m" or (op is None and not is_flat and "status" in event):
        return SkippedRow(line, "a message or the mark of a transaction")
    if is_flat:
        flat_row = {name: each for name, each in event.items() if not name.startswith("__")}
        is_deleted = op == DELETE_OP or event.get("__deleted") in ("true", True)
        return _row_change(
            flat_row, schema, event.get("__source_ts_ms", event.get("__ts_ms")), line, is_deleted=is_deleted
        )
    if op not in (*UPSERT_OPS, DELETE_OP):
        return BadRow(line, "the value is no change event of Debezium: it has no `op` of c, u, r or d")
    name, source = ("before" if op == DELETE_OP else "after"), event.get("source")
    row, times = event.get(name), source if isinstance(source, dict) else NO_FIELDS
    found = row if isinstance(row, dict) else _payload(key or b"")[0]
    row_schema = next(
        (each for each in objects_in(schema or NO_FIELDS, "fields") if each.get("field") == name), None
    )
    return _row_change(found, row_schema, times.get("ts_ms", event.get("ts_ms")), line, is_deleted=op == DELETE_OP)


def _row_change(
    row: JsonObject | None, schema: JsonObject | None, at: Json, line: int, *, is_deleted: bool
) -> RowChange | BadRow:
    if row is None:
        return BadRow(line, "the change event has no row, nor a key in JSON that names it")
    if not str(at).isdecimal():
        return BadRow(line, "the change event does not say when it was: it has no `ts_ms` (flat: `__source_ts_ms`)")
    return RowChange(row, schema, is_deleted, int(str(at)))


def _payload(text: bytes | str) -> tuple[JsonObject | None, JsonObject | None]:
    """A JSON object, and its schema if Kafka Connect wraps both in {schema, payload}; None for anything else."""
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


def _as_text(value: Json) -> str:
    """A value in the spelling of mapping files."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _as_id(value: Json) -> str:
    return value.strip() if isinstance(value, str) and is_utf8(value) else ""
