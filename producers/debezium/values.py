"""Connect values: turn the JSON values of Kafka Connect into text, by the types in their schema.

Source: Debezium's documentation of its connectors, "Data type mappings" (semantic types); Kafka Connect's logical
types Decimal, Date and Timestamp.
"""

import base64
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from producers.row_reader import Json, JsonObject

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NO_FIELDS: JsonObject = {}


def cells_of(row: JsonObject, schema: JsonObject | None) -> dict[str, Json]:
    """The values of a row as catalog cells; raises ValueError with the column name for an invalid value."""
    types = {str(field.get("field")): field for field in objects_in(schema or NO_FIELDS, "fields")}
    cells: dict[str, Json] = {}
    for column, value in row.items():
        try:
            cells[column] = _text_of(value, types.get(column, NO_FIELDS))
        except (ValueError, TypeError, OverflowError):
            field_type = types.get(column, NO_FIELDS).get("name", "value")
            raise ValueError(f"column `{column}` is no {field_type}: {str(value)[:40]!r}") from None
    return cells


def objects_in(value: JsonObject, name: str) -> list[JsonObject]:
    """The objects in the list field `name`; empty if there is no such list."""
    values = value.get(name)
    return [each for each in values if isinstance(each, dict)] if isinstance(values, list) else []


def _text_of(value: Json, field_type: JsonObject) -> Json:
    read = READERS.get(str(field_type.get("name")))
    return value if value is None or read is None else read(value, field_type)


def _decimal(value: Json, field_type: JsonObject) -> str:
    """Decimal from a big-endian signed integer in base64 and a scale."""
    scale = field_type.get("parameters")
    places = int(str(scale.get("scale"))) if isinstance(scale, dict) else 0
    unscaled = int.from_bytes(base64.b64decode(str(value), validate=True), "big", signed=True)
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


def _json(value: Json, _kind: JsonObject) -> Json:
    return json.loads(str(value), parse_float=str, parse_int=str)


READERS: Mapping[str, Callable[[Json, JsonObject], Json]] = {
    "org.apache.kafka.connect.data.Decimal": _decimal,
    "io.debezium.data.VariableScaleDecimal": _variable_decimal,
    "org.apache.kafka.connect.data.Date": _since_1970(days=1),
    "org.apache.kafka.connect.data.Timestamp": _since_1970(milliseconds=1),
    "io.debezium.time.Date": _since_1970(days=1),
    "io.debezium.time.Timestamp": _since_1970(milliseconds=1),
    "io.debezium.time.MicroTimestamp": _since_1970(microseconds=1),
    "io.debezium.time.NanoTimestamp": _nanoseconds,
    "io.debezium.data.Json": _json,
}
