"""Change records: parse the records of a Debezium topic, in the envelope, flat or CloudEvents form.

Sources: Debezium's documentation of its connectors, "Data change events" (the envelope: op, before, after, source,
ts_ms), of the transformation ExtractNewRecordState (the flat form: __op, __deleted, __source_ts_ms, tombstones) and
of CloudEventsConverter; and the source of DefaultDeleteHandlingStrategy: a flat deletion has a null value with a
schema, which JsonConverter writes as `null` or as {"schema": ..., "payload": null}.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from producers.debezium.values import NO_FIELDS, cells_of, document_of, fields_of
from producers.facts.moments import read_moment
from producers.row_reader import BadRow, Json, JsonObject, SkippedRow
from schemas.moments import microseconds_since_1970

UPSERT_OPS, DELETE_OP = ("c", "u", "r"), "d"
"""Operations after which the row exists (created, updated, read by a snapshot), and the one that deletes it."""
TRANSACTION_FIELDS = {"status", "id", "event_count", "data_collections", "ts_ms", "ts_us", "ts_ns"}
NOTIFICATION_FIELDS = {"aggregate_type", "additional_data"}
SCHEMA_CHANGE_FIELDS = {"ddl", "tableChanges"}
STRUCT_KEY = re.compile(r"Struct\{(.*)\}", re.S)
"""A key as Kafka Connect's StringConverter writes it: `Struct{id=901}`."""


@dataclass(frozen=True)
class RecordTime:
    """The metadata of a record: its time in ms since 1970, and its headers."""

    at_ms: int | None = None
    headers: Mapping[str, bytes | None] = field(default_factory=dict)

    @property
    def source_ms(self) -> int | None:
        """The time of the change in the database, from the headers of `add.headers`."""
        for name in ("__source_ts_ms", "__ts_ms"):
            text = (self.headers.get(name) or b"").strip(b'"')
            if text.isdigit():
                return int(text[:20])
        return None


NO_TIME = RecordTime()


@dataclass(frozen=True)
class RowChange:
    """A change of a row: the row and its schema, whether it was deleted, and the time of the change."""

    row: JsonObject
    schema: JsonObject | None
    is_deleted: bool
    at_ms: int
    is_flat: bool = False
    before: JsonObject = field(default_factory=dict)
    """The row before the change, if the record contains it."""
    key: bytes | None = None


@dataclass(frozen=True)
class Tombstone:
    """A null value: it follows the deletion of an envelope, and is the deletion in the flat form."""

    key: bytes | None
    time: RecordTime


def parse_change(
    value: bytes | str | None, key: bytes | None, line: int, time: RecordTime = NO_TIME
) -> RowChange | Tombstone | BadRow | SkippedRow:
    """Parse a record; `value` and `key` are JSON, with or without schemas."""
    event, schema = _payload(value) if value is not None else (None, None)
    if event is None:
        return Tombstone(key, time)
    if not isinstance(event, dict):
        return BadRow(line, "the value is not a JSON object: have the connector write JSON (JsonConverter)")
    if "specversion" in event and "data" in event:
        event, schema = _cloud_event(event)
    reason = _no_row(event)
    if reason is not None:
        return SkippedRow(line, reason)
    if event.get("op") == "t":
        return BadRow(line, "the table was truncated, which names no rows: `lookstream delete` takes items out")
    if "op" in event and ("after" in event or "before" in event or "source" in event):
        return _envelope_change(event, schema, key, line)
    return _flat_change(event, schema, key, line, time)


def _envelope_change(
    event: JsonObject, schema: JsonObject | None, key: bytes | None, line: int
) -> RowChange | BadRow:
    op, source, before = event.get("op"), event.get("source"), document_of(event.get("before"))
    if op not in (*UPSERT_OPS, DELETE_OP):
        return BadRow(line, "the value is no change event of Debezium: it has no `op` of c, u, r or d")
    name = "before" if op == DELETE_OP else "after"
    row = document_of(event.get(name))
    if row is None and op != DELETE_OP:
        return BadRow(line, "the change event has no row: MongoDB needs capture.mode=change_streams_update_full")
    times = source if isinstance(source, dict) else NO_FIELDS
    at_ms = _milliseconds(times.get("ts_ms", event.get("ts_ms")))
    if at_ms is None:
        return BadRow(line, "the change event does not say when it was: it has no `ts_ms`")
    schemas = (each for each in fields_of(schema) if each.get("field") == name)
    return RowChange(row or {}, next(schemas, None), op == DELETE_OP, at_ms, before=before or {}, key=key)


def _flat_change(
    event: JsonObject, schema: JsonObject | None, key: bytes | None, line: int, time: RecordTime
) -> RowChange | BadRow:
    """A row with its metadata in columns that begin with __, or in headers; else its time is the record's."""
    op = event.get("__op", (time.headers.get("__op") or b"").decode(errors="replace").strip('"'))
    is_marked = bool(op) or "__deleted" in event
    own = event.get("__source_ts_ms", event.get("__ts_ms"))
    at_ms = _milliseconds(own) if own is not None else time.source_ms
    if at_ms is None:
        at_ms = time.at_ms
    if at_ms is None:
        if is_marked:
            return BadRow(line, "the change event does not say when it was: it has no `__source_ts_ms`")
        return BadRow(line, "the value is no change event of Debezium: it has no `op` of c, u, r or d")
    row = {name: each for name, each in event.items() if not name.startswith("__")}
    is_deleted = op == DELETE_OP or event.get("__deleted") in ("true", True)
    return RowChange(row, schema, is_deleted, at_ms, is_flat=True, key=key)


def _no_row(event: JsonObject) -> str | None:
    """The reason why a record is not a change of a row; None if it is one."""
    names = event.keys()
    if event.get("op") == "m":
        return "a message of the database's log"
    if event.get("status") in ("BEGIN", "END") and "id" in names and names <= TRANSACTION_FIELDS:
        return "the mark of a transaction"
    if names <= {"ts_ms", "ts_us", "ts_ns", "serverName"}:
        return "a heartbeat of the connector"
    if names & SCHEMA_CHANGE_FIELDS and not names & {"op", "__op", "__deleted"}:
        return "a change of a table's schema"
    return "a notification of the connector" if names >= NOTIFICATION_FIELDS else None


def _cloud_event(event: JsonObject) -> tuple[JsonObject, JsonObject | None]:
    """The envelope, and its schema, of a change that CloudEventsConverter wrote in structured mode."""
    data = event["data"]
    schema: Json = None
    if isinstance(data, dict) and data.keys() == {"schema", "payload"}:
        data, schema = data["payload"], data["schema"]
    envelope = dict(data) if isinstance(data, dict) else {}
    before, after = envelope.get("before"), envelope.get("after")
    op = event.get("iodebeziumop", DELETE_OP if after is None else "u" if before is not None else "c")
    at: Json = event.get("iodebeziumtsms")
    if at is None:
        try:
            time = event.get("time")
            at = str(microseconds_since_1970(read_moment(time if isinstance(time, str) else "")) // 1_000)
        except ValueError:
            at = None
    known = {"op": op, "before": before, "after": after, "source": {"ts_ms": at}}
    return {**envelope, **known}, schema if isinstance(schema, dict) else None


def key_cells(key: bytes | None) -> dict[str, Json] | str | None:
    """The columns in a record's key, the text of a key that is no object, or None if there is none.

    The key may be JSON with or without a schema, text, or `Struct{id=901}`.
    """
    if key is None:
        return None
    found, schema = _payload(key)
    if isinstance(found, dict):
        return cells_of(found, schema)[0]
    if isinstance(found, str) and found:
        return found
    try:
        text = key.decode().strip()
    except UnicodeDecodeError:
        return None
    struct = STRUCT_KEY.fullmatch(text)
    if struct is None:
        return text if text and text.isprintable() and not text.startswith(("{", "[", "null")) else None
    pairs = (part.partition("=") for part in struct[1].split(","))
    return {name.strip(): value for name, _, value in pairs}


def _payload(text: bytes | str) -> tuple[Json, JsonObject | None]:
    """A JSON value, and its schema if Kafka Connect wraps both in {schema, payload}; False if it is no JSON."""
    try:
        found = json.loads(text, parse_float=str, parse_int=str, parse_constant=str)
    except (ValueError, RecursionError):
        return False, None
    if isinstance(found, dict) and found.keys() == {"schema", "payload"}:
        schema = found["schema"]
        return found["payload"], schema if isinstance(schema, dict) else None
    return found, None


def _milliseconds(value: Json) -> int | None:
    return int(value[:20]) if isinstance(value, str) and value.isascii() and value.isdecimal() else None
