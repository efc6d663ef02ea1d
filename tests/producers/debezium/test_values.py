"""Connect values: what the types of Debezium's schemas become, and what stands for a missing value."""

import base64

import pytest

from producers.debezium.values import UNAVAILABLE_VALUE, UnavailableValue, cells_of, document_of, is_placeholder


@pytest.mark.parametrize(
    ("kind", "parameters", "value", "cell"),
    [
        ("org.apache.kafka.connect.data.Decimal", {"scale": "2"}, "//8=", "-0.01"),
        ("org.apache.kafka.connect.data.Decimal", {"scale": "2"}, "BOI=", "12.50"),
        ("org.apache.kafka.connect.data.Decimal", {"scale": "2"}, "12.50", "12.50"),
        ("io.debezium.data.VariableScaleDecimal", {}, {"scale": "1", "value": "ew=="}, "12.3"),
        ("org.apache.kafka.connect.data.Date", {}, "20454", "2026-01-01T00:00:00+00:00"),
        ("org.apache.kafka.connect.data.Timestamp", {}, "1", "1970-01-01T00:00:00.001000+00:00"),
        ("io.debezium.time.Date", {}, "20454", "2026-01-01T00:00:00+00:00"),
        ("io.debezium.time.IsoDate", {}, "2026-01-01Z", "2026-01-01"),
        ("io.debezium.time.Timestamp", {}, "1", "1970-01-01T00:00:00.001000+00:00"),
        ("io.debezium.time.MicroTimestamp", {}, "1", "1970-01-01T00:00:00.000001+00:00"),
        ("io.debezium.time.NanoTimestamp", {}, "1000", "1970-01-01T00:00:00.000001+00:00"),
        ("io.debezium.time.ZonedTimestamp", {}, "2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z"),
        ("io.debezium.time.Year", {}, "2026", "2026-01-01T00:00:00+00:00"),
        ("io.debezium.data.Json", {}, "[1.50]", ["1.50"]),
        ("io.debezium.data.EnumSet", {}, "a,b", ["a", "b"]),
        ("io.debezium.data.Enum", {}, "a", "a"),
        ("none", {}, "as it is", "as it is"),
        ("none", {}, {"scale": "1", "value": "ew=="}, "12.3"),
        ("io.debezium.time.Date", {}, None, None),
    ],
)
def test_values_are_read_as_their_schema_says(
    kind: str, parameters: dict[str, str], value: object, cell: object
) -> None:
    field = {"field": "a", "name": kind, "parameters": parameters}
    assert cells_of({"a": value}, {"fields": [field]}) == ({"a": cell}, {})
    array = {"field": "a", "type": "array", "items": {"name": kind, "parameters": parameters}}
    assert cells_of({"a": [value]}, {"fields": [array]}) == ({"a": [cell]}, {})


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("org.apache.kafka.connect.data.Decimal", "!"),
        ("org.apache.kafka.connect.data.Decimal", "A" * 400),
        ("io.debezium.data.VariableScaleDecimal", "x"),
        ("io.debezium.data.VariableScaleDecimal", {"scale": "9" * 50, "value": "ew=="}),
        ("io.debezium.time.Date", "soon"),
        ("io.debezium.time.Timestamp", "9" * 30),
        ("io.debezium.time.MicroTimestamp", "9223372036825200000"),
        ("io.debezium.time.Timestamp", "9" * 5_000),
        ("io.debezium.time.Year", "0"),
        ("io.debezium.data.Json", "{"),
        ("io.debezium.data.Json", "[" * 100_000),
    ],
)
def test_a_value_that_is_not_of_its_type_is_named(kind: str, value: object) -> None:
    cells, unreadable = cells_of({"a": value, "b": "1"}, {"fields": [{"field": "a", "name": kind}]})
    assert cells == {"b": "1"}
    assert f"is no {kind}" in unreadable["a"]
    assert len(unreadable["a"]) < 150


DATA = UNAVAILABLE_VALUE.encode()


@pytest.mark.parametrize(
    "value",
    [
        UNAVAILABLE_VALUE,
        base64.b64encode(DATA).decode(),
        base64.urlsafe_b64encode(DATA).decode(),
        DATA.hex(),
        [UNAVAILABLE_VALUE],
        [base64.b64encode(DATA).decode()],
        [str(byte) for byte in DATA],
        {UNAVAILABLE_VALUE: UNAVAILABLE_VALUE},
        f'{{"{UNAVAILABLE_VALUE}":"{UNAVAILABLE_VALUE}"}}',
        ["b68a35a7-17ad-35b3-af2a-ae46edb4545a"],
    ],
)
def test_what_stands_for_a_missing_value_has_many_types(value: object) -> None:
    assert UnavailableValue(UNAVAILABLE_VALUE).matches(value)


@pytest.mark.parametrize(
    "value", [None, "", [], {}, "a", ["a", UNAVAILABLE_VALUE], ["95"], {"a": UNAVAILABLE_VALUE}, "{"]
)
def test_other_values_are_values(value: object) -> None:
    assert not UnavailableValue(UNAVAILABLE_VALUE).matches(value)


def test_a_placeholder_may_be_bytes() -> None:
    unavailable = UnavailableValue("hex:21ff")
    assert unavailable.matches("If8=")
    assert unavailable.matches(["33", "-1"])
    assert not unavailable.matches(UNAVAILABLE_VALUE)
    assert is_placeholder("hex:21FF")
    assert not is_placeholder("hex:2")
    assert not is_placeholder("hex:")


def test_a_document_of_mongodb_is_plain() -> None:
    text = '{"_id": {"$oid": "5f1"}, "at": {"$date": {"$numberLong": "9"}}, "l": [{"$oid": "1"}]}'
    assert document_of(text) == {"_id": "5f1", "at": "9", "l": ["1"]}
    assert document_of({"a": {"$oid": "1"}}) == {"a": {"$oid": "1"}}, "only documents as text are Extended JSON"
    assert document_of("[1]") is None
    assert document_of("{") is None
