"""Fields that are null count as absent, because other programs write them."""

import json
from typing import Any

import pytest

from schemas.envelope import BODIES, Body, from_bytes, to_bytes
from schemas.failures import Rejected
from schemas.items import ItemPatched, ItemUpserted
from schemas.watches import Watch

ITEM = {
    "schema": "item.upserted/1",
    "item_id": "a",
    "revision": 1,
    "images": [{"kind": "url", "url": "https://a.example/b"}],
}
SEARCH = {"schema": "search.request/1", "request_id": "r", "item_id": "a"}
FACETS = {"schema": "facets.request/1", "request_id": "r"}
READ_FROM_OTHERS = (ITEM, SEARCH, FACETS, {"schema": "item.deleted/1", "item_id": "a", "revision": 1})


def parsed(event: dict[str, Any]) -> Body:
    return from_bytes(json.dumps(event).encode())


def optional_fields(event: dict[str, Any]) -> list[str]:
    fields = BODIES[event["schema"]].model_fields
    return [name for name, field in fields.items() if name != "schema_" and not field.is_required()]


@pytest.mark.parametrize("event", READ_FROM_OTHERS, ids=lambda event: event["schema"])
def test_every_optional_field_may_be_null(event: dict[str, Any]) -> None:
    whole = parsed(event)
    names = [name for name in optional_fields(event) if name not in event]
    assert names
    for name in names:
        assert parsed(event | {name: None}) == whole, name
    assert parsed(event | dict.fromkeys(names)) == whole


@pytest.mark.parametrize("field", ["item_id", "revision", "images"])
def test_a_field_that_is_needed_may_not_be_null(field: str) -> None:
    with pytest.raises(Rejected, match=field):
        parsed(ITEM | {field: None})


def test_nulls_in_the_parts_of_a_request_are_absent_too() -> None:
    nulls = {"brand": None, "price_min": None, "exclude_items": None}
    assert parsed(SEARCH | {"filters": nulls, "boosts": {"recency": None}}) == parsed(SEARCH)
    assert parsed(SEARCH | {"filters": nulls | {"tags": ["x"]}}) == parsed(SEARCH | {"filters": {"tags": ["x"]}})


def test_null_elements_of_lists_and_null_values_of_attributes_are_left_out() -> None:
    item = parsed(
        ITEM
        | {"tags": ["a", None, "b"], "moderation": [None, "adult"], "attributes": {"size": None, "fit": "slim"}}
    )
    assert isinstance(item, ItemUpserted)
    assert (item.tags, item.moderation, item.attributes) == (("a", "b"), ("adult",), {"fit": "slim"})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("tags", ["x"] * 51),
        ("tags", "x"),
        ("tags", [1]),
        ("tags", [""]),
        ("moderation", ["ADULT"]),
        ("attributes", {"a": "b" * 501}),
        ("attributes", {str(n): "" for n in range(51)}),
        ("attributes", []),
        ("source", ""),
        ("tenant", ""),
    ],
)
def test_nothing_else_becomes_easier(field: str, value: object) -> None:
    with pytest.raises(Rejected, match=field):
        parsed(ITEM | {field: value})


def test_a_null_in_a_patch_removes_the_fact() -> None:
    patch = parsed(
        {
            "schema": "item.patched/1",
            "item_id": "a",
            "revision": 1,
            "tenant": None,
            "facts": {"title": None, "tags": None, "attributes": None},
        }
    )
    assert isinstance(patch, ItemPatched)
    assert patch.facts.model_fields_set == {"title", "tags", "attributes"}
    assert (patch.facts.title, patch.facts.tags, patch.facts.attributes) == (None, (), {})
    assert parsed(json.loads(to_bytes(patch))) == patch


def test_the_defaults_of_two_events_are_not_one_object() -> None:
    one, other = (parsed(ITEM | {"attributes": None}) for _ in range(2))
    assert isinstance(one, ItemUpserted)
    assert isinstance(other, ItemUpserted)
    assert one.attributes == {}
    assert one.attributes is not other.attributes


def test_the_schema_says_so_where_null_is_read_and_not_of_its_name() -> None:
    properties = ItemUpserted.model_json_schema(by_alias=True)["properties"]
    assert {"type": "null"} in properties["tags"]["anyOf"]
    assert properties["schema"]["const"] == "item.upserted/1"
    assert "anyOf" not in properties["item_id"]
    assert {"type": "null"} in Watch.model_json_schema(by_alias=True)["properties"]["filters"]["anyOf"]
