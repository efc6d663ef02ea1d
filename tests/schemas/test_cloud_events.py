"""CloudEvents as other programs send them: the binary and the structured content mode."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.cloud_events import read_event_id
from schemas.envelope import Event, from_record
from schemas.failures import Code, Rejected
from schemas.items import ItemDeleted, ItemUpserted
from schemas.searches import SearchRequest

ITEM: dict[str, Any] = {
    "item_id": "a",
    "revision": 1,
    "title": "A lamp",
    "price": 19.99,
    "currency": "EUR",
    "images": [{"kind": "url", "url": "https://a.example/b"}],
}
EVENT: dict[str, Any] = {
    "specversion": "1.0",
    "id": "e-1",
    "source": "/shop",
    "type": "lookstream.item.upserted/1",
    "time": "2026-01-01T00:00:00Z",
    "subject": "a",
    "dataschema": "https://shop.example/item",
    "shopregion": "eu",
    "data": ITEM,
}
STRUCTURED = "application/cloudevents+json"


def read(value: object, key: bytes = b"default:a", /, **headers: str) -> Event:
    """Read a record with this value as JSON, or these bytes."""
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return from_record(
        "catalog.items/0/7", key, text, {name: each.encode() for name, each in headers.items()}, 1_000
    )


def refused(value: object, key: bytes = b"default:a", /, **headers: str) -> Rejected:
    with pytest.raises(Rejected) as failure:
        read(value, key, **headers)
    return failure.value


def without(event: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in event.items() if name not in names}


WHOLE = read(ITEM | {"schema": "item.upserted/1"}).body


@pytest.mark.parametrize("name", ["ce_type", "ce-type", "CE_TYPE", "Ce-Type"])
@pytest.mark.parametrize("event_type", ["lookstream.item.upserted/1", "item.upserted/1"])
def test_the_type_of_the_binary_mode_names_an_event_without_schema(name: str, event_type: str) -> None:
    assert read(ITEM, **{name: event_type}).body == WHOLE


def test_the_attributes_of_the_binary_mode_are_read_whatever_their_case() -> None:
    headers = {"Ce-Id": "e-1", "CE_Source": "/shop", "ce_specversion": "1.0", "ce_type": "item.upserted/1"}
    event = read(ITEM, **headers, **{"Content-Type": "application/json; charset=utf-8", "Traceparent": "00-1"})
    assert (event.id, event.source, event.extra) == ("e-1", "/shop", {"traceparent": "00-1"})


def test_of_two_spellings_of_a_header_the_usual_one_counts() -> None:
    event = read(ITEM, **{"CE_ID": "x", "ce_id": "e-1", "ce-id": "y", "ce_type": "item.upserted/1"})
    assert event.id == "e-1"


@pytest.mark.parametrize(
    "content_type", [STRUCTURED, f"{STRUCTURED}; charset=utf-8", "Application/CloudEvents+JSON"]
)
@pytest.mark.parametrize("header", ["content-type", "Content-Type"])
def test_an_event_in_structured_mode_is_read_with_its_attributes(content_type: str, header: str) -> None:
    event = read(EVENT, **{header: content_type})
    assert (event.body, event.id, event.source) == (WHOLE, "e-1", "/shop")


def test_the_structured_mode_is_known_by_its_fields_too() -> None:
    assert read(EVENT).body == WHOLE
    assert read(b"\xef\xbb\xbf" + json.dumps(EVENT).encode(), **{"content-type": STRUCTURED}).body == WHOLE


def test_the_time_of_an_event_is_that_of_its_record() -> None:
    assert read(EVENT).time == read(ITEM, ce_type="item.upserted/1").time


@pytest.mark.parametrize(
    "data",
    [
        {"data": ITEM | {"schema": "item.upserted/1"}},
        {"data": ITEM | {"price": "19.99"}},
        {"data": ITEM, "datacontenttype": "application/json"},
        {"data": ITEM, "datacontenttype": "application/vnd.shop+json; v=1"},
        {"data": ITEM, "data_base64": None},
        {"data_base64": base64.b64encode(json.dumps(ITEM).encode()).decode()},
        {"data_base64": base64.b64encode(json.dumps(ITEM).encode()).decode(), "datacontenttype": "text/json"},
    ],
)
def test_data_is_an_object_or_base64(data: dict[str, Any]) -> None:
    assert read(without(EVENT, "data") | data, **{"content-type": STRUCTURED}).body == WHOLE


def test_a_type_of_another_program_is_no_matter_when_the_data_has_a_schema() -> None:
    data = ITEM | {"schema": "item.upserted/1"}
    assert read(EVENT | {"type": "com.shop.product.changed", "data": data}).body == WHOLE
    assert read(data, ce_type="com.shop.product.changed", ce_specversion="0.3").body == WHOLE


def test_deletions_and_requests_may_be_cloudevents_too() -> None:
    deleted = {"item_id": "a", "revision": 2}
    assert read(EVENT | {"type": "item.deleted/1", "data": deleted}).body == ItemDeleted.model_validate(deleted)
    search = read(EVENT | {"type": "search.request/1", "data": {"request_id": "r", "item_id": "a"}}, b"r").body
    assert search == SearchRequest(request_id="r", item_id="a")


@pytest.mark.parametrize(
    ("event", "headers", "code", "part"),
    [
        ([EVENT], {"content-type": "application/cloudevents-batch+json"}, Code.EVENT_UNREADABLE, "batch"),
        ([EVENT], {"content-type": STRUCTURED}, Code.EVENT_UNREADABLE, "batch"),
        (EVENT, {"content-type": "application/cloudevents+avro"}, Code.EVENT_UNREADABLE, "cloudevents+avro"),
        ("text", {"content-type": STRUCTURED}, Code.EVENT_UNREADABLE, "not an object"),
        (EVENT | {"specversion": "0.3"}, {}, Code.EVENT_UNREADABLE, "`specversion` is '0.3'"),
        (without(EVENT, "id"), {}, Code.EVENT_INVALID, "`id`"),
        (EVENT | {"id": ""}, {}, Code.EVENT_INVALID, "`id`"),
        (EVENT | {"source": 7}, {}, Code.EVENT_INVALID, "`source`"),
        (without(EVENT, "type"), {}, Code.EVENT_INVALID, "`type`"),
        (without(EVENT, "specversion"), {"content-type": STRUCTURED}, Code.EVENT_INVALID, "`specversion`"),
        (without(EVENT, "data"), {}, Code.EVENT_INVALID, "`data`"),
        (EVENT | {"data_base64": "e30="}, {}, Code.EVENT_INVALID, "either `data`"),
        (EVENT | {"data": json.dumps(ITEM)}, {}, Code.EVENT_INVALID, "not as text"),
        (EVENT | {"data": [ITEM]}, {}, Code.EVENT_INVALID, "`data`"),
        (without(EVENT, "data") | {"data_base64": "%"}, {}, Code.EVENT_INVALID, "not base64"),
        (EVENT | {"datacontenttype": "application/xml"}, {}, Code.EVENT_INVALID, "application/xml"),
        (EVENT | {"type": "lookstream.item.upserted/9"}, {}, Code.EVENT_UNKNOWN, "this version reads"),
        (EVENT | {"type": "com.shop.changed"}, {}, Code.EVENT_UNKNOWN, "com.shop.changed"),
        (ITEM, {"ce_type": "com.shop.changed"}, Code.EVENT_UNKNOWN, "item.upserted/1"),
        (ITEM, {"ce_type": "item.upserted/1", "ce_specversion": "0.3"}, Code.EVENT_UNREADABLE, "`specversion`"),
        (ITEM, {}, Code.EVENT_UNREADABLE, "`ce_type`"),
        (ITEM, {"ce_type": "item.deleted/1"}, Code.EVENT_INVALID, "title"),
    ],
)
def test_what_is_not_read_is_refused_by_name(event: object, headers: dict[str, str], code: Code, part: str) -> None:
    failure = refused(event, **headers)
    assert failure.code == code
    assert part in failure.message


@pytest.mark.parametrize(
    "event_type", ["lookstream.item.deleted/1", "item.deleted/1", "lookstream.item.upserted/2"]
)
def test_a_type_and_a_schema_that_differ_are_refused(event_type: str) -> None:
    body = ITEM | {"schema": "item.upserted/1"}
    for failure in (refused(body, ce_type=event_type), refused(EVENT | {"type": event_type, "data": body})):
        assert failure.code == Code.EVENT_INVALID
        assert "item.upserted/1" in failure.message
        assert event_type.removeprefix("lookstream.") in failure.message


def test_the_key_is_checked_in_both_modes() -> None:
    for failure in (refused(EVENT, b"default:b"), refused(ITEM, b"default:b", ce_type="item.upserted/1")):
        assert failure.code == Code.KEY_INVALID


def test_base64_hides_no_value_with_too_many_parts() -> None:
    data = base64.b64encode(b"[" * 200_000).decode()
    assert "brackets" in refused(without(EVENT, "data") | {"data_base64": data}).message


@pytest.mark.parametrize(
    ("value", "headers", "event_id"),
    [
        (json.dumps(EVENT | {"data": {}}).encode(), {}, "e-1"),
        (json.dumps(ITEM).encode(), {"CE-ID": b"e-2"}, "e-2"),
        (json.dumps(EVENT | {"type": 7}).encode(), {"ce_id": b"e-3"}, "e-3"),
        (b"\xff", {"ce_id": b"\xff"}, None),
        (None, {}, None),
    ],
)
def test_the_id_of_a_refused_event_is_found(
    value: bytes | None, headers: dict[str, bytes | None], event_id: str | None
) -> None:
    assert read_event_id(value, headers) == event_id


@given(
    st.dictionaries(st.sampled_from(sorted(EVENT)) | st.text(max_size=5), st.none() | st.text() | st.integers()),
    st.sampled_from([STRUCTURED, "application/cloudevents", "application/json", "application/cloudevents-batch"]),
)
def test_nothing_but_a_refusal_comes_of_a_broken_event(change: dict[str, object], content_type: str) -> None:
    try:
        event = read(EVENT | change, **{"content-type": content_type})
    except Rejected:
        return
    assert isinstance(event.body, ItemUpserted)
