"""Events as bytes: they are read as they were written, and invalid ones are refused with a sentence."""

import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.envelope import BODIES, Body, Event, from_bytes, from_record, to_bytes, to_headers
from schemas.failures import Code, Rejected
from schemas.filters import Filters
from schemas.items import (
    MAX_REVISION,
    FileImage,
    InlineImage,
    ItemDeleted,
    ItemFacts,
    ItemPatched,
    ItemUpserted,
    UrlImage,
    revision_at,
)
from schemas.ranking import INTENTS
from schemas.searches import Crop, SearchRequest

images = st.one_of(
    st.binary(min_size=1, max_size=50).map(lambda data: InlineImage(data=data)),
    st.just(UrlImage(url="https://shop.example/a.jpg")),
    st.just(FileImage(root="shop", path="a/b.jpg")),
)
items = st.builds(
    ItemUpserted,
    item_id=st.from_regex(r"[a-zA-Z0-9:/ ]{1,20}[a-z]", fullmatch=True),
    revision=st.integers(1, MAX_REVISION),
    images=st.lists(images, min_size=1, max_size=8).map(tuple),
    title=st.none() | st.text(max_size=50).map(str.strip),
    price=st.none() | st.decimals(0, 10**6, places=2),
    currency=st.just("EUR"),
    in_stock=st.none() | st.booleans(),
    created_at=st.none() | st.datetimes(min_value=datetime(1971, 1, 1), timezones=st.just(UTC)),
)


@given(items)
def test_an_item_is_read_back_as_it_was_written(item: ItemUpserted) -> None:
    assert from_bytes(to_bytes(item)) == item


def test_both_alphabets_of_base64_are_read() -> None:
    for text in ("+/+/", "-_-_"):
        assert InlineImage.model_validate_json(json.dumps({"kind": "inline", "data": text})).data == b"\xfb\xff\xbf"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"revision": 0}, "revision"),
        ({"revision": "3"}, "revision"),
        ({"revision": MAX_REVISION + 1}, "revision"),
        ({"images": []}, "images"),
        ({"images": [{"kind": "url", "url": "ftp://a"}]}, "url"),
        ({"images": [{"kind": "file", "root": "../x", "path": "a"}]}, "root"),
        ({"item_id": ""}, "item_id"),
        ({"tenant": "a:b"}, "tenant"),
        ({"price": 3, "currency": None}, "currency"),
        ({"price": -3}, "price"),
        ({"surprise": 1}, "surprise"),
        ({"tags": ["x"] * 51}, "tags"),
        ({"created_at": "2026-01-01T00:00:00"}, "created_at"),
    ],
)
def test_a_bad_field_is_refused_by_name(change: dict[str, object], field: str) -> None:
    good = {
        "schema": "item.upserted/1",
        "item_id": "a",
        "revision": 1,
        "currency": "EUR",
        "images": [{"kind": "url", "url": "https://a.example/b"}],
    }
    from_bytes(json.dumps(good).encode())
    with pytest.raises(Rejected) as refused:
        from_bytes(json.dumps(good | change).encode())
    assert refused.value.code == Code.EVENT_INVALID
    assert field in refused.value.message


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (b"", Code.EVENT_UNREADABLE),
        (b"\xff\xfe", Code.EVENT_UNREADABLE),
        (b"[1]", Code.EVENT_UNREADABLE),
        (b'{"item_id": "a"}', Code.EVENT_UNREADABLE),
        (b'{"schema": "item.upserted/99"}', Code.EVENT_UNKNOWN),
        (b"[" * 100_000, Code.EVENT_UNREADABLE),
    ],
)
def test_what_is_not_an_event_is_refused(value: bytes, code: Code) -> None:
    with pytest.raises(Rejected) as refused:
        from_bytes(value)
    assert refused.value.code == code


def test_a_null_value_deletes_the_item_of_its_key_at_the_end_of_the_millisecond_of_the_record() -> None:
    event = from_record("social.posts/0/7", b"shop:a:b", None, {}, 1_700_000_000_123)
    expected = ItemDeleted(tenant="shop", item_id="a:b", source="social", revision=1_700_000_000_123_999)
    assert event.body == expected
    assert event.id == "social.posts/0/7"


def test_a_null_value_of_the_beginning_of_1970_has_a_revision() -> None:
    event = from_record("catalog.items/0/7", b"shop:a", None, {}, 0)
    assert event.body == ItemDeleted(tenant="shop", item_id="a", revision=999)


@pytest.mark.parametrize("item_id", [" a", "a ", " a b ", "\u3000a", "a\u00a0"])
def test_an_items_id_is_the_same_in_the_key_the_body_and_a_null_value(item_id: str) -> None:
    key = f"default:{item_id}".encode()
    value = to_bytes(ItemDeleted(item_id=item_id, revision=1))
    for event in (from_record("t/0/0", key, value, {}, 1000), from_record("t/0/1", key, None, {}, 1000)):
        assert isinstance(event.body, ItemDeleted)
        assert event.body.item_id == item_id
    with pytest.raises(Rejected, match="the record's key must be"):
        from_record("t/0/0", f"default:{item_id.strip()}".encode(), value, {}, 1000)


@pytest.mark.parametrize("item_id", ["", " ", "  ", "a\n", "\ta", "\x7f"])
def test_an_id_of_blanks_or_with_control_characters_is_refused(item_id: str) -> None:
    value = json.dumps({"schema": "item.deleted/1", "item_id": item_id, "revision": 1}).encode()
    with pytest.raises(Rejected, match="`item_id`"):
        from_record("t/0/0", f"default:{item_id}".encode(), value, {}, 1000)


@pytest.mark.parametrize(
    "ref",
    [
        {"kind": "file", "root": "shop", "path": " a.jpg"},
        {"kind": "file", "root": "shop", "path": "a.jpg "},
        {"kind": "s3", "bucket": "photos", "key": " a "},
    ],
)
def test_names_of_pictures_keep_their_blanks(ref: dict[str, str]) -> None:
    event = {"schema": "item.upserted/1", "item_id": "a", "revision": 1, "images": [ref]}
    body = from_bytes(json.dumps(event).encode())
    assert isinstance(body, ItemUpserted)
    assert {**body.images[0].model_dump(exclude_none=True)} == ref


@pytest.mark.parametrize(
    "ref", [{"kind": "file", "root": " shop", "path": "a"}, {"kind": "s3", "bucket": "photos ", "key": "a"}]
)
def test_the_name_of_a_folder_or_a_bucket_has_no_blanks(ref: dict[str, str]) -> None:
    event = {"schema": "item.upserted/1", "item_id": "a", "revision": 1, "images": [ref]}
    with pytest.raises(Rejected):
        from_bytes(json.dumps(event).encode())


@pytest.mark.parametrize(
    "facts",
    [
        ItemFacts(title="A lamp"),
        ItemFacts(title=None),
        ItemFacts(price=Decimal("1.50"), currency="EUR"),
        ItemFacts(tags=(), brand=None),
        ItemFacts(attributes={}, created_at=datetime(2026, 1, 2, tzinfo=UTC)),
    ],
)
def test_a_patch_says_on_the_wire_what_was_set_and_nothing_else(facts: ItemFacts) -> None:
    patch = ItemPatched(item_id="a", revision=1, facts=facts)
    back = from_bytes(to_bytes(patch))
    assert isinstance(back, ItemPatched)
    assert back == patch
    assert back.facts.model_fields_set == facts.model_fields_set


@pytest.mark.parametrize("key", [None, b"", b"no-colon", b":x", b"a b:x", b"\xff:x"])
def test_a_null_value_without_an_items_key_is_refused(key: bytes | None) -> None:
    with pytest.raises(Rejected) as refused:
        from_record("catalog.items/0/1", key, None, {}, 5)
    assert refused.value.code == Code.KEY_INVALID


def test_headers_follow_cloudevents_and_come_back() -> None:
    event = Event(ItemDeleted(item_id="a", revision=1), extra={"reply-to": "search.results"})
    headers: dict[str, bytes | None] = {name: text.encode() for name, text in to_headers(event).items()}
    assert headers["ce_specversion"] == b"1.0"
    assert headers["ce_type"] == b"lookstream.item.deleted/1"
    assert headers["content-type"] == b"application/json"
    back = from_record("t/0/0", b"default:a", to_bytes(event.body), headers, 1000)
    assert (back.body, back.id, back.source, back.extra) == (event.body, event.id, event.source, event.extra)
    assert back.time == datetime.fromtimestamp(1, UTC)


def test_a_default_revision_is_the_time_in_microseconds() -> None:
    assert revision_at(datetime(1970, 1, 1, 0, 0, 1, 5, tzinfo=UTC)) == 1_000_005


def test_a_price_may_be_a_json_number_or_text() -> None:
    base = {"schema": "item.upserted/1", "item_id": "a", "revision": 1, "currency": "EUR"}
    for price in (19.99, "19.99"):
        event = base | {"price": price, "images": [{"kind": "url", "url": "https://a.example/b"}]}
        body = from_bytes(json.dumps(event).encode())
        assert isinstance(body, ItemUpserted)
        assert body.price == Decimal("19.99")


def test_a_search_asks_exactly_one_question() -> None:
    image = UrlImage(url="https://a.example/b")
    assert SearchRequest(request_id="r", image=image).item_id is None
    for bad in ({}, {"image": image, "item_id": "a"}, {"item_id": "a", "crop": Crop(x=0, y=0, w=1, h=1)}):
        with pytest.raises(ValueError, match=r"send either|nothing to search by|needs `image`"):
            SearchRequest.model_validate({"request_id": "r", **bad})


def test_impossible_crops_and_filters_are_refused_with_the_reason() -> None:
    with pytest.raises(ValueError, match="exceeds the picture"):
        Crop(x=0.5, y=0, w=0.6, h=1)
    with pytest.raises(ValueError, match="swap them"):
        Filters(price_min=5, price_max=1)
    with pytest.raises(ValueError, match=r"a colour is one of black, .*or #rrggbb~15"):
        Filters.model_validate({"colours": ("mauve",)})


def test_the_weights_of_every_intent_sum_to_one() -> None:
    for weights in INTENTS.values():
        assert weights.object + weights.style + weights.colour == pytest.approx(1)


def test_every_event_is_known_by_its_own_schema_field() -> None:
    for name, body in BODIES.items():
        assert body.model_fields["schema_"].default == name


def test_every_field_on_the_wire_is_described() -> None:
    for body in BODIES.values():
        assert undescribed(body) == []


def undescribed(body: type[Body]) -> list[str]:
    """Fields without a description, in the body's JSON Schema and all that it refers to."""
    schema = body.model_json_schema()
    models = {body.__name__: schema, **schema.get("$defs", {})}
    return [
        f"{model}.{name}"
        for model, definition in models.items()
        for name, field in definition.get("properties", {}).items()
        if "description" not in field and "const" not in field and "$ref" not in field
    ]
