"""Every record is an event or is refused with a code and a sentence; there is no third result."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from schemas.envelope import (
    CARRIED,
    MOST_HEADER_BYTES,
    Event,
    from_bytes,
    from_record,
    key_of,
    to_bytes,
    to_headers,
)
from schemas.failures import Code, Rejected
from schemas.json_value import MOST_FIELDS, MOST_PARTS
from schemas.ranking import Weights
from schemas.results import QueryLook

NOON_MS = 1_714_564_800_000
LOOK = {"vector": "AACAPw==", "studio": False}
WEIGHTS = {"object": 1.0}
EVENTS: tuple[dict[str, Any], ...] = (
    {
        "schema": "item.upserted/1",
        "item_id": "a",
        "revision": 1,
        "currency": "EUR",
        "price": 1.5,
        "tags": ["x"],
        "attributes": {"a": "b"},
        "created_at": "2026-01-01T00:00:00Z",
        "images": [{"kind": "url", "url": "https://a.example/b"}, {"kind": "inline", "data": "AAAA"}],
    },
    {"schema": "item.patched/1", "item_id": "a", "revision": 2, "facts": {"title": "t", "moderation": ["adult"]}},
    {"schema": "item.deleted/1", "item_id": "a", "revision": 3},
    {
        "schema": "search.request/1",
        "request_id": "r",
        "image": {"kind": "file", "root": "shop", "path": "a.png"},
        "crop": {"x": 0, "y": 0, "w": 1, "h": 1},
        "weights": WEIGHTS,
        "filters": {"price_min": 1, "created_after": "2026-01-01T00:00:00Z", "revision_max": 9},
        "boosts": {"recency": 0.1},
    },
    {"schema": "facets.request/1", "request_id": "r", "facets": ["brand"], "none_of": [{"colours": ["red"]}]},
    {
        "schema": "watch/1",
        "watch_id": "w",
        "look": LOOK,
        "encoder": "e",
        "weights": WEIGHTS,
        "created_at": "2026-01-01T00:00:00Z",
    },
)
"""One of each event that strangers send."""

NUMBERS = (
    0, -0.0, -1, True, 2**53 + 1, 2**63, 2**64, -(2**63) - 1, 10**400, 1e308, -1e308, 1e-320, 5e-324,
    float("nan"), float("inf"), float("-inf"),
)  # fmt: skip
TEXTS = (
    "", " ", "\0", "\ud800", "\udfff\ud800", "a" * 5_000, "\u202e", "\ufeff", "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-14:00", "10000-01-01T00:00:00Z", "-1", "1e999999999", "٣", "default:a", "../../etc/passwd",
)  # fmt: skip
texts = st.sampled_from(TEXTS) | st.text(st.characters(), max_size=20)
values = st.recursive(
    st.none() | st.booleans() | st.sampled_from(NUMBERS) | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)
headers = st.dictionaries(
    st.sampled_from(("ce_id", "ce_source", "ce_time", "ce_type", "content-type", *CARRIED)) | texts,
    st.none()
    | st.binary(max_size=40)
    | st.just(b"\xff" * 2_000)
    | st.sampled_from((b"application/cloudevents+json", b"application/cloudevents-batch+json", b"item.deleted/1"))
    | texts.map(lambda t: t.encode("utf-8", "replace")),
    max_size=6,
)
keys = (
    st.none() | st.binary(max_size=12) | st.sampled_from([b"", b"default:a", b"r", b"default:w", b"\xff:a", b":"])
)
times = st.integers(-(2**64), 2**64) | st.sampled_from([-1, 0, NOON_MS, 253_402_300_800_000])


@st.composite
def mutated(draw: st.DrawFn) -> dict[str, Any]:
    """An event, one of whose fields, at any depth, was replaced, added or taken away."""
    event: dict[str, Any] = json.loads(json.dumps(draw(st.sampled_from(EVENTS))))
    place: Any = event
    while True:
        at = draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
        if not isinstance(place[at], dict | list) or not place[at] or draw(st.booleans()):
            break
        place = place[at]
    action = draw(st.sampled_from(["replace", "add", "take"]))
    if action == "replace":
        place[at] = draw(values)
    elif action == "take":
        del place[at]
    elif isinstance(place, dict):
        place[draw(texts)] = draw(values)
    else:
        place.append(draw(values))
    return event


def dumped(value: object) -> bytes:
    """As JSON: with escapes, so that lone surrogates travel as they do in practice."""
    return json.dumps(value).encode()


def read(value: bytes | None, key: bytes | None, found: dict[str, bytes | None], time_ms: int) -> Event | Rejected:
    """What from_record gives, or raises."""
    try:
        return from_record("catalog.items/3/9", key, value, found, time_ms)
    except Rejected as refused:
        return refused


def judged(
    value: bytes | None, key: bytes | None, found: dict[str, bytes | None], time_ms: int
) -> Event | Rejected:
    """The result of a record; a refusal must be valid UTF-8, and an event must survive a round trip."""
    event = read(value, key, found, time_ms)
    if isinstance(event, Rejected):
        assert 0 < len(event.message) <= 500
        assert event.message.encode()
        return event
    expected = key_of(event.body)
    assert expected is None or key == expected.encode() or (not key and event.body.schema_.endswith("request/1"))
    assert all(len(text.encode()) <= MOST_HEADER_BYTES for text in event.extra.values())
    sent = {name: text.encode() for name, text in to_headers(event).items()}
    again = from_record("catalog.items/3/9", key, to_bytes(event.body), sent, time_ms)
    assert (again.body, again.id, again.source) == (event.body, event.id, event.source)
    assert to_bytes(again.body) == to_bytes(event.body)
    return event


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.none() | st.binary(max_size=60), keys, headers, times)
@example(None, b"default:\x00", {}, NOON_MS)
def test_any_bytes_are_an_event_or_are_refused(
    value: bytes | None, key: bytes | None, found: dict[str, bytes | None], time_ms: int
) -> None:
    judged(value, key, found, time_ms)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(values, keys, headers, times)
def test_any_json_is_an_event_or_is_refused(
    value: object, key: bytes | None, found: dict[str, bytes | None], time_ms: int
) -> None:
    judged(dumped(value), key, found, time_ms)


@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow])
@given(mutated(), keys, headers)
def test_an_event_with_anything_in_one_of_its_fields_is_still_one_or_is_refused(
    value: dict[str, Any], key: bytes | None, found: dict[str, bytes | None]
) -> None:
    judged(dumped(value), key, found, NOON_MS)
    tenant, name = str(value.get("tenant", "default")), str(value.get("item_id") or value.get("watch_id"))
    own = str(value.get("request_id") or f"{tenant}:{name}").encode("utf-8", "replace")
    judged(dumped(value), own, found, NOON_MS)


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event["schema"])
def test_the_events_that_are_spoiled_here_are_whole(event: dict[str, Any]) -> None:
    [key] = [event[name] for name in ("request_id", "item_id", "watch_id") if name in event]
    key = key if "request_id" in event else f"default:{key}"
    assert isinstance(judged(dumped(event), key.encode(), {}, NOON_MS), Event)


@pytest.mark.parametrize(
    ("value", "code", "why"),
    [
        (b'{"schema":"item.deleted/1","a":[' + b"[]," * 2_000_000 + b"0]}", Code.EVENT_INVALID, f"{MOST_PARTS:,}"),
        (b'{"schema":"x",' + b'"a":0,' * 9 + b'"b":1}', Code.EVENT_INVALID, "'a' occurs twice"),
        (b"{" + b",".join(b'"%d":0' % n for n in range(20_000)) + b"}", Code.EVENT_INVALID, f"{MOST_FIELDS:,}"),
        (b'{"schema":' + b"[" * 60_000, Code.EVENT_UNREADABLE, "nested too deeply"),
        (b'{"schema":"item.deleted/1","revision":' + b"9" * 1_000_000 + b"}", Code.EVENT_INVALID, "number"),
        ('{"schema":"item.deleted/1"}'.encode("utf-16"), Code.EVENT_UNREADABLE, "byte 0 is not UTF-8"),
        (b'{"schema":"\xed\xa0\x80"}', Code.EVENT_UNREADABLE, "byte 11 is not UTF-8"),
        (b'{"schema":"\\ud800"}', Code.EVENT_UNKNOWN, "ud800"),
        (b'{"schema":"' + b"x" * 5_000_000 + b'"}', Code.EVENT_UNKNOWN, "this version reads"),
        (b"NaN", Code.EVENT_UNREADABLE, "not an object"),
        (b"\x00" * 5_000_000, Code.EVENT_UNREADABLE, "not JSON"),
    ],
    ids=lambda each: each[:24] if isinstance(each, bytes) else str(each),
)
def test_what_is_large_deep_or_double_is_refused_by_its_reason(value: bytes, code: Code, why: str) -> None:
    refused = judged(value, b"default:a", {}, NOON_MS)
    assert isinstance(refused, Rejected)
    assert refused.code == code
    assert why in refused.message


def test_a_byte_order_mark_is_passed_over() -> None:
    assert from_bytes(b"\xef\xbb\xbf" + dumped(EVENTS[2])) == from_bytes(dumped(EVENTS[2]))


@pytest.mark.parametrize("key", [None, b"", b"default:b", b"other:a", b"a", b"default:a ", b"\xff"])
def test_an_item_event_is_refused_under_any_key_but_its_own(key: bytes | None) -> None:
    refused = judged(dumped(EVENTS[0]), key, {}, NOON_MS)
    assert isinstance(refused, Rejected)
    assert refused.code == Code.KEY_INVALID
    assert "default:a" in refused.message


@pytest.mark.parametrize(("key", "accepted"), [(None, True), (b"", True), (b"r", True), (b"another", False)])
@pytest.mark.parametrize("event", [EVENTS[3], EVENTS[4]], ids=lambda event: event["schema"])
def test_a_request_may_have_no_key_but_not_that_of_another(
    event: dict[str, Any], key: bytes | None, accepted: bool
) -> None:
    found = judged(dumped(event), key, {}, NOON_MS)
    assert isinstance(found, Event) if accepted else isinstance(found, Rejected) and found.code == Code.KEY_INVALID


def test_headers_that_are_no_text_or_too_long_count_as_missing() -> None:
    bad: dict[str, bytes | None] = {name: b"\xff" for name in ("ce_id", "ce_source", "correlation-id")}
    bad |= {"reply-to": b"x" * (MOST_HEADER_BYTES + 1), "traceparent": b"", "reply-partition": None}
    event = judged(dumped(EVENTS[0]), b"default:a", bad, NOON_MS)
    assert isinstance(event, Event)
    assert (event.id, event.source, dict(event.extra)) == ("catalog.items/3/9", "unknown", {})


def test_a_request_from_a_clock_that_is_ahead_has_no_longer_deadline_for_it() -> None:
    import time
    from datetime import UTC, datetime

    ahead = round(time.time() * 1000) + 1_800_000
    event = judged(dumped(EVENTS[3]), b"r", {}, ahead)
    assert isinstance(event, Event)
    assert event.time <= datetime.now(UTC)


def test_weights_that_come_to_nothing_are_refused() -> None:
    for tiny in (0.0, 1e-320, 1e-45, 1e-7):
        with pytest.raises(ValueError, match="must sum to"):
            Weights(object=tiny, style=tiny)
    assert Weights(object=1e-6).object == 1e-6


@pytest.mark.parametrize(
    ("vector", "why"), [(b"\x00" * 5, "a multiple of 4 bytes"), (b"\x00\x00\xc0\x7f" * 4, "NaN")]
)
def test_a_look_of_no_numbers_is_refused(vector: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        QueryLook(vector=vector, studio=False)
