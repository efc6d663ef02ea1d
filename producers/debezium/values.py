"""Connect values: turn the JSON values of Kafka Connect into text, by the types in their schema.

Sources: Debezium's documentation of its connectors, "Data type mappings" (semantic types) and "Toasted values"
(what stands for a value that a change does not contain); Kafka Connect's logical types; MongoDB's Extended JSON.
"""

import base64
import hashlib
import json
import re
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from producers.facts.cell_values import quoted
from producers.row_reader import Json, JsonObject

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NO_FIELDS: JsonObject = {}
UNAVAILABLE_VALUE = "__debezium_unavailable_value"
"""Debezium's default of unavailable.value.placeholder."""
LONGEST_DECIMAL = 100
"""Characters of a decimal; PostgreSQL's largest would be longer, but no price is."""


def is_placeholder(text: str) -> bool:
    """Whether a text can be an unavailable.value.placeholder; those of bytes begin with `hex:`."""
    return not text.startswith("hex:") or re.fullmatch(r"(?:[0-9A-Fa-f]{2})+", text[4:]) is not None


class UnavailableValue:
    """Recognises the placeholder of a value that the database did not log: unchanged TOAST or LOB columns.

    `placeholder` is the connector's unavailable.value.placeholder, as text or as `hex:...`.
    """

    def __init__(self, placeholder: str) -> None:
        data = bytes.fromhex(placeholder[4:]) if placeholder.startswith("hex:") else placeholder.encode()
        text = data.decode(errors="replace")
        encoded = base64.b64encode(data).decode(), base64.urlsafe_b64encode(data).decode()
        digest = uuid.UUID(bytes=hashlib.md5(data, usedforsecurity=False).digest(), version=3)
        self._texts = {text, *encoded, *(each.rstrip("=") for each in encoded), data.hex(), str(digest)}
        self._numbers = [str(byte - 256 if byte > 127 else byte) for byte in data]
        self._map = {text: text}

    def matches(self, value: Json) -> bool:
        """Whether a value is the placeholder: as text, bytes or map, or as an array of texts, UUIDs or integers."""
        if isinstance(value, str):
            return value in self._texts or (value.startswith("{") and _parse_json(value) == self._map)
        if isinstance(value, list):
            return bool(value) and (value == self._numbers or all(map(self._matches_scalar, value)))
        return isinstance(value, dict) and value == self._map

    def _matches_scalar(self, value: Json) -> bool:
        return isinstance(value, str) and value in self._texts


def cells_of(row: JsonObject, schema: JsonObject | None) -> tuple[dict[str, Json], dict[str, str]]:
    """The values of a row as catalog cells; and of those that cannot be read, the reason by column."""
    types = {str(field.get("field")): field for field in fields_of(schema)}
    cells: dict[str, Json] = {}
    unreadable: dict[str, str] = {}
    for column, value in row.items():
        field_type = types.get(column, NO_FIELDS)
        try:
            cells[column] = _text_of(value, field_type)
        except (ValueError, TypeError, ArithmeticError, RecursionError):
            unreadable[column] = f"{quoted(value, 40)} is no {field_type.get('name')}"
    return cells, unreadable


def document_of(value: Json) -> JsonObject | None:
    """A row as an object; MongoDB's connector writes the document as Extended JSON in a text."""
    if isinstance(value, str):
        value = _plain_document(_parse_json(value))
    return value if isinstance(value, dict) else None


def fields_of(schema: JsonObject | None) -> list[JsonObject]:
    """The fields of a schema of Kafka Connect; empty if there is no schema, or it has none."""
    fields = schema.get("fields") if schema else None
    return [field for field in fields if isinstance(field, dict)] if isinstance(fields, list) else []


def _parse_json(text: str) -> Json:
    """A JSON value with its numbers as text; None for anything else."""
    try:
        return json.loads(text, parse_float=str, parse_int=str, parse_constant=str)
    except (ValueError, RecursionError):
        return None


def _plain_document(value: Json, depth: int = 0) -> Json:
    """A document of MongoDB without the types of Extended JSON: {"$oid": "..."} is its text."""
    if isinstance(value, dict) and depth < 16:
        if len(value) == 1:
            [(name, inner)] = value.items()
            if isinstance(name, str) and name.startswith("$"):
                return _plain_document(inner, depth + 1)
        return {name: _plain_document(inner, depth + 1) for name, inner in value.items()}
    if isinstance(value, list) and depth < 16:
        return [_plain_document(inner, depth + 1) for inner in value]
    return value


def plain_id(text: str) -> str:
    """An id of MongoDB's keys, which are Extended JSON in a text."""
    found = _plain_document(_parse_json(text))
    return found if isinstance(found, str) else text


def _text_of(value: Json, field_type: JsonObject) -> Json:
    if value is None:
        return None
    read = READERS.get(str(field_type.get("name")))
    if read is not None:
        return read(value, field_type)
    if isinstance(value, dict) and value.keys() == {"scale", "value"}:
        return _variable_decimal(value, NO_FIELDS)  # without a schema
    items = field_type.get("items")
    if isinstance(value, list) and isinstance(items, dict):
        return [_text_of(each, items) for each in value if not isinstance(each, list)]
    return value


def _decimal(value: Json, field_type: JsonObject) -> str:
    """Decimal from a big-endian signed integer in base64 and a scale; or as a number (decimal.format=NUMERIC)."""
    parameters = field_type.get("parameters")
    places = int(str(parameters.get("scale"))) if isinstance(parameters, dict) else 0
    text = str(value)
    if len(text) > LONGEST_DECIMAL or abs(places) > LONGEST_DECIMAL:
        raise ValueError("too long")
    if "." in text:
        return str(Decimal(text))
    unscaled = int.from_bytes(base64.b64decode(text, validate=True), "big", signed=True)
    return str(Decimal(unscaled).scaleb(-places))


def _variable_decimal(value: Json, _kind: JsonObject) -> str:
    if not isinstance(value, dict):
        raise TypeError("not an object")
    return _decimal(value.get("value"), {"parameters": {"scale": value.get("scale")}})


def _since_1970(**unit: float) -> Callable[[Json, JsonObject], str]:
    """A reader for integers that count this unit of time since 1970-01-01 UTC; it returns ISO 8601."""

    def read(value: Json, _kind: JsonObject) -> str:
        return (EPOCH + int(str(value)) * timedelta(**unit)).isoformat()

    return read


def _nanoseconds(value: Json, _kind: JsonObject) -> str:
    return (EPOCH + timedelta(microseconds=int(str(value)) // 1_000)).isoformat()


def _year(value: Json, _kind: JsonObject) -> str:
    return datetime(int(str(value)), 1, 1, tzinfo=UTC).isoformat()


def _iso_date(value: Json, _kind: JsonObject) -> str:
    """An ISO 8601 date, which Debezium ends with the offset Z."""
    return re.sub(r"(?:Z|[+-]\d\d:?\d\d)$", "", str(value))


def _json(value: Json, _kind: JsonObject) -> Json:
    return json.loads(str(value), parse_float=str, parse_int=str, parse_constant=str)


def _set(value: Json, _kind: JsonObject) -> Json:
    return [part for part in str(value).split(",") if part]


READERS: Mapping[str, Callable[[Json, JsonObject], Json]] = {
    "org.apache.kafka.connect.data.Decimal": _decimal,
    "io.debezium.data.VariableScaleDecimal": _variable_decimal,
    "org.apache.kafka.connect.data.Date": _since_1970(days=1),
    "org.apache.kafka.connect.data.Timestamp": _since_1970(milliseconds=1),
    "io.debezium.time.Date": _since_1970(days=1),
    "io.debezium.time.IsoDate": _iso_date,
    "io.debezium.time.Timestamp": _since_1970(milliseconds=1),
    "io.debezium.time.MicroTimestamp": _since_1970(microseconds=1),
    "io.debezium.time.NanoTimestamp": _nanoseconds,
    "io.debezium.time.Year": _year,
    "io.debezium.data.Json": _json,
    "io.debezium.data.EnumSet": _set,
}
"""Of the semantic types; ZonedTimestamp and IsoTimestamp are ISO 8601 already."""
