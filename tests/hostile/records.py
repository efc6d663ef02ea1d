"""Hostile records for the topics of items and standing searches, by a seed.

Each has the tenant TENANT, which no valid record has, or is refused. The outcome of a record has its `ce_id` as
`event_id`; this is its name, unless its headers are bad. A seed always gives the same records, except for their
times, which count from now.

Apache Kafka itself refuses some of them at their producer: a time more than an hour ahead or before 1970, a missing
key in a compacted topic, more bytes than a topic takes. The local broker takes all of them.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random
from typing import NamedTuple

from schemas.failures import Code
from schemas.items import MAX_REVISION
from schemas.topics import CATALOG_ITEMS, SEARCH_WATCHES, SOCIAL_POSTS, retry_topic
from tests.hostile.mutations import (
    LARGEST,
    NO_INTEGERS,
    NO_PRICES,
    NO_TEXTS,
    ODD_TEXTS,
    TIMES_AT_THE_EDGE,
    TIMES_BEYOND,
    Fields,
    Mutation,
    dumped,
    fields,
    inline,
    picture,
    pictures,
    values,
)

TENANT = "hostile"
Headers = tuple[tuple[str, bytes | None], ...]
"""In their order, names may stand several times."""


class HostileRecord(NamedTuple):
    """A record, the code it must be refused with (None: it is accepted, or passed over), and its kind."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers
    timestamp_ms: int
    """0: now."""
    code: Code | None
    kind: str


Make = Callable[[Random, str], HostileRecord]
"""Makes a record from a random generator and a name."""


def hostile_records(seed: int, count: int, largest: int = LARGEST) -> Iterator[HostileRecord]:
    """`count` records of all kinds in a random order, values of at most `largest` bytes."""
    rng, kinds = Random(seed), _kinds(largest)
    names, weights = list(kinds), [weight for weight, _ in kinds.values()]
    for n in range(count):
        [kind] = rng.choices(names, weights)
        yield kinds[kind][1](rng, f"h{seed}-{n}")


def _kinds(largest: int) -> Mapping[str, tuple[int, Make]]:
    """Each group of kinds with its share of all records."""
    return {
        "values": (30, _of_items(values(largest))),
        "fields": (25, _of_items(item_fields())),
        "pictures": (10, _with_pictures),
        "keys": (8, _under_another_key),
        "deletions": (5, _deletion),
        "headers": (8, _with_headers),
        "times": (6, _at_another_time),
        "topics": (4, _in_another_topic),
        "watches": (6, _watch(largest)),
        "retries": (3, _in_a_retry_topic),
    }


def upsert(name: str) -> Fields:
    """A whole upsert, with a picture inside."""
    return {
        "schema": "item.upserted/1",
        "tenant": TENANT,
        "item_id": name,
        "revision": 1,
        "images": [inline(picture())],
        "currency": "EUR",
        "price": 9.5,
        "title": "whole",
    }


def own_headers(name: str) -> Headers:
    """Valid headers of a record."""
    return (("ce_id", name.encode()), ("ce_source", b"hostile"), ("content-type", b"application/json"))


def item_fields() -> Sequence[Mutation]:
    """Invalid values of the fields of an upsert, and unusual ones that are valid."""
    bad: Mapping[str, Sequence[object]] = {
        "created_at": TIMES_BEYOND,
        "revision": NO_INTEGERS,
        "price": NO_PRICES,
        "title": NO_TEXTS,
        "brand": (*NO_TEXTS, "b" * 201),
        "tags": ("x", [1], [""], ["x"] * 51, ["t" * 201], {}, [["x"]], ["\ud800"]),
        "attributes": (
            [],
            {"": "x"},
            {"a": 1},
            {"a": "x" * 501},
            {f"a{n}": "x" for n in range(51)},
            {"\ud800": "x"},
        ),
        "images": (
            [],
            {},
            "x",
            [{}],
            [inline("%%")],
            [inline("")],
            [inline(picture())] * 9,
            [{"kind": "ftp"}],
            [None],
        ),
        "in_stock": (0, 1, "true", [], 1.0),
        "currency": ("eur", "EURO", "", 978, "€"),
        "moderation": (["UPPER"], ["a b"], ["x"] * 21, "adult", [1]),
        "url": ("javascript:alert(1)", "ftp://a.example", "https://" + "a" * 2_049, "https://a b", 1),
        "tenant": ("", "../other", "a:b", "x" * 65, 1, "\ud800", "*"),
        "source": ("other", 1, "", []),
        "item_id": ("", " ", "a\0b", "x" * 201, 1, True, [], "\n"),
    }
    good: Mapping[str, Sequence[object]] = {
        "created_at": TIMES_AT_THE_EDGE,
        "revision": (1, MAX_REVISION),
        "price": (0, 0.0001, 1e12, "1E+3", "1e-4", -0.0),
        "title": ODD_TEXTS,
        "brand": ODD_TEXTS,
        "category": ODD_TEXTS,
        "creator": ODD_TEXTS,
        "tags": (list(ODD_TEXTS), ["t" * 200] * 50),
        "attributes": (
            {f"{n}={text}"[:200]: text for n, text in enumerate(ODD_TEXTS)},
            {f"{n}": "v" * 500 for n in range(50)},
        ),
        "images": ([inline(picture())] * 8,),
    }
    return [*fields(bad, Code.EVENT_INVALID, "bad field")] * 3 + fields(good, None, "odd field")


def _of_items(mutations: Sequence[Mutation]) -> Make:
    def make(rng: Random, name: str) -> HostileRecord:
        kind, code, mutate = rng.choice(mutations)
        topic = rng.choice((CATALOG_ITEMS, CATALOG_ITEMS, SOCIAL_POSTS))
        return HostileRecord(
            topic, _key(name), mutate(rng, upsert(name)), own_headers(name), 0, code, f"item: {kind}"
        )

    return make


def _with_pictures(rng: Random, name: str) -> HostileRecord:
    kind, code, make = rng.choice(pictures())
    others = [inline(picture()) for _ in range(rng.randint(0, 2))]
    value = dumped(upsert(name) | {"images": [make(rng), *others]})
    return HostileRecord(CATALOG_ITEMS, _key(name), value, own_headers(name), 0, code, f"picture: {kind}")


def _under_another_key(rng: Random, name: str) -> HostileRecord:
    victim = f"default:{name}".encode()
    key = rng.choice((None, b"", victim, name.encode(), _key(name) + b" ", b"\xff\xfe", b":", b"k" * 50_000))
    value = dumped(rng.choice((upsert(name), _gone(name), _patch(name))))
    return HostileRecord(CATALOG_ITEMS, key, value, own_headers(name), 0, Code.KEY_INVALID, "key: another")


def _deletion(rng: Random, name: str) -> HostileRecord:
    bad = (
        None,
        b"",
        b"no-colon",
        b":x",
        b"a b:x",
        b"\xff:x",
        b"hostile:",
        b"hostile:a\x00",
        b"hostile:" + b"x" * 201,
    )
    key, code = rng.choice([(key, Code.KEY_INVALID) for key in bad] + [(_key(name), None)] * 3)
    return HostileRecord(CATALOG_ITEMS, key, None, own_headers(name), 0, code, "deletion")


def _with_headers(rng: Random, name: str) -> HostileRecord:
    strange: Sequence[Headers] = (
        (),
        (("ce_id", b"\xff\xfe"), ("ce_source", b"\xff"), ("traceparent", b"\xff")),
        (("ce_id", b""), ("ce_time", b"9999-12-31T23:59:59-14:00")),
        (("ce_id", None), ("ce_source", None), ("correlation-id", None)),
        (("ce_id", b"i" * 100_000), ("ce_source", b"s" * 100_000)),
        (*own_headers(name), ("ce_id", b"another"), ("ce_type", b"no.such/1"), ("ce_specversion", b"99")),
        (*own_headers(name), ("ce_time", rng.randbytes(30)), ("content-type", b"text/html")),
        (*own_headers(name), ("traceparent", b"00-" + b"f" * 60_000), ("tracestate", rng.randbytes(400))),
        (*own_headers(name), *((f"x-{n}", rng.randbytes(20)) for n in range(500))),
        (*own_headers(name), ("", b"no name"), ("\u202e", b"odd name"), ("x" * 5_000, b"long name")),
        (*own_headers(name), ("dead-topic", b"x"), ("dead-code", b"\xff"), ("dead-offset", b"9" * 5_000)),
        (*own_headers(name), ("retry-topic", b"catalog.items"), ("retry-attempts", b"-5"), ("retry-offset", b"x")),
        (*own_headers(name), ("reply-to", b"catalog.items"), ("reply-partition", b"-1"), ("correlation-id", b"\n")),
    )
    value = dumped(rng.choice((upsert(name), _gone(name))))
    return HostileRecord(CATALOG_ITEMS, _key(name), value, rng.choice(strange), 0, None, "headers")


def _at_another_time(rng: Random, name: str) -> HostileRecord:
    now_ms = round(time.time() * 1000)
    bad = (
        -1,
        -2,
        -62_135_596_800_001,
        -(2**62),
        now_ms + 86_400_000,
        253_402_300_799_999,
        253_402_300_800_000,
        2**62,
    )
    good = (1, 86_400_000, now_ms - 10**12, now_ms + 600_000)
    at, code = rng.choice([(at, Code.EVENT_INVALID) for at in bad] + [(at, None) for at in good])
    value = rng.choice((dumped(upsert(name)), dumped(_gone(name)), None))
    return HostileRecord(CATALOG_ITEMS, _key(name), value, own_headers(name), at, code, "time")


def _in_another_topic(rng: Random, name: str) -> HostileRecord:
    request: Fields = {"schema": "search.request/1", "request_id": name, "tenant": TENANT, "item_id": name}
    result: Fields = {"schema": "search.result/1", "request_id": name, "status": "ok"}
    removed: Fields = {"schema": "item.removed/1", "event_id": name, "tenant": TENANT, "item_id": name}
    removed |= {"source": "catalog", "revision": 1}
    value, key = rng.choice(
        ((request, name.encode()), (result, b"any"), (removed, _key(name)), (watch(name), _key(name)))
    )
    return HostileRecord(
        CATALOG_ITEMS, key, dumped(value), own_headers(name), 0, Code.EVENT_UNKNOWN, "topic: another"
    )


def watch(name: str) -> Fields:
    """A whole standing search, of an encoder that does not exist."""
    return {
        "schema": "watch/1",
        "watch_id": name,
        "tenant": TENANT,
        "look": {"vector": "AACAPw==", "studio": False},
        "encoder": "none",
        "weights": {"object": 1},
        "created_at": "2026-01-01T00:00:00Z",
    }


def _watch(largest: int) -> Make:
    bad: Mapping[str, Sequence[object]] = {
        "created_at": TIMES_BEYOND,
        "filters.created_after": TIMES_BEYOND,
        "any_of": ([{}], [{"created_before": TIMES_BEYOND[0]}], {}),
        "weights.object": (0, 1e-320, 2, float("nan"), True),
        "look.vector": ("AADAfw==", "AACAfw==", "AAAA", "", "%"),
        "min_confidence": (0, 1.1, float("inf")),
        "watch_id": ("", "a b", "\ud800", 1, "x" * 65),
    }
    good = {
        "filters.created_after": TIMES_AT_THE_EDGE,
        "look.vector": ("//9/fw==", "AQAAAA=="),
        "min_confidence": (5e-324,),
    }
    mutations = [*values(largest), *fields(bad, None, "bad field") * 10, *fields(good, None, "odd field") * 5]

    def make(rng: Random, name: str) -> HostileRecord:
        kind, _, mutate = rng.choice(mutations)
        key = rng.choice((_key(name), _key(name), None, b"\xff", f"default:{name}".encode()))
        value = rng.choice((mutate(rng, watch(name)), b"\xff", b""))
        # A record that is no watch is passed over without an outcome.
        return HostileRecord(SEARCH_WATCHES, key, value, own_headers(name), 0, None, f"watch: {kind}")

    return make


def _in_a_retry_topic(rng: Random, name: str) -> HostileRecord:
    strange: Sequence[Headers] = (
        (),
        (
            (
                "retry-not-before",
                rng.choice((b"x", b"-1", b"253402300800000", b"9" * 400, b"9" * 5_000, b"\xff", b"nan")),
            ),
        ),
        (("retry-topic", b"catalog.items"), ("retry-first-failed-at", b"2026-01-01T00:00:00"), *_counts(rng)),
        (("retry-topic", b"catalog.items"), ("retry-first-failed-at", TIMES_BEYOND[0].encode()), *_counts(rng)),
        (("retry-topic", b"../x"), ("retry-first-failed-at", b"\xff"), *_counts(rng)),
    )
    value, code = rng.choice(((dumped(_gone(name)), None), (b"\xff", Code.EVENT_UNREADABLE)))
    headers = (*own_headers(name), *rng.choice(strange))
    return HostileRecord(retry_topic(CATALOG_ITEMS, "5s"), _key(name), value, headers, 0, code, "retry headers")


def _counts(rng: Random) -> Headers:
    """The origin in the headers of a retried record; its time must be valid, as it counts as the record's own."""
    number = rng.choice((b"0", b"-1", b"9" * 30, b"7"))
    return (
        ("retry-partition", number),
        ("retry-offset", number),
        ("retry-timestamp", b"1700000000000"),
        ("retry-attempts", rng.choice((b"0", b"1", b"-9", b"99999999999999999999"))),
    )


def _gone(name: str) -> Fields:
    return {"schema": "item.deleted/1", "tenant": TENANT, "item_id": name, "revision": 2}


def _patch(name: str) -> Fields:
    return {"schema": "item.patched/1", "tenant": TENANT, "item_id": name, "revision": 2, "facts": {"title": "x"}}


def _key(name: str) -> bytes:
    return f"{TENANT}:{name}".encode()
