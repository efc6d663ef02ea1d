"""Hostile searches and facets requests by a seed: as records of the topic of requests, and as bodies over HTTP.

The result of a record has its correlation id, which is its name unless its headers are bad. A body is answered by a
status.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random
from typing import NamedTuple

from schemas.failures import Code
from schemas.topics import SEARCH_REQUESTS
from tests.hostile.mutations import (
    LARGEST,
    NO_TEXTS,
    ODD_TEXTS,
    TIMES_AT_THE_EDGE,
    TIMES_BEYOND,
    Fields,
    Mutation,
    changed,
    dumped,
    fields,
    inline,
    picture,
    pictures,
    values,
)
from tests.hostile.records import TENANT, Headers, HostileRecord, own_headers

Make = Callable[[Random, str], HostileRecord]
Values = dict[str, Sequence[object]]
NO_SHARES: tuple[object, ...] = (-0.1, 1.1, 1e308, float("nan"), float("inf"), "x", True, [], 10**400)
"""Invalid values for a number of 0 to 1."""


class HostileBody(NamedTuple):
    """A request over HTTP, the code of its error (None: it is valid), and its kind."""

    path: str
    body: bytes
    headers: Mapping[str, str]
    code: Code | None
    kind: str

    @property
    def refused(self) -> bool:
        """Whether its status must be 400 to 499; else it is answered, and in neither case by 500."""
        return self.code is not None


def hostile_requests(seed: int, count: int, largest: int = LARGEST) -> Iterator[HostileRecord]:
    """`count` records of all kinds in a random order, values of at most `largest` bytes."""
    rng, kinds = Random(seed), _kinds(largest)
    weights = [weight for weight, _ in kinds]
    for n in range(count):
        [(_, make)] = rng.choices(kinds, weights)
        yield make(rng, f"q{seed}-{n}")


def hostile_bodies(seed: int, count: int, largest: int = LARGEST) -> Iterator[HostileBody]:
    """`count` bodies of all kinds in a random order, of at most `largest` bytes."""
    rng = Random(seed)
    mutations = [(path, whole, mutate) for path, whole, some in _over_http(largest) for mutate in some]
    for n in range(count):
        path, whole, (kind, code, mutate) = rng.choice(mutations)
        event = {name: value for name, value in whole(f"b{seed}-{n}").items() if name != "schema"}
        headers = {"content-type": rng.choice(("application/json", "application/json; charset=utf-8"))}
        yield HostileBody(path, mutate(rng, event), headers, code, f"{path}: {kind}")


def search(name: str) -> Fields:
    """A whole search, by a picture."""
    image = inline(picture())
    return {
        "schema": "search.request/1",
        "request_id": name,
        "tenant": TENANT,
        "image": image,
        "deadline_ms": 60_000,
    }


def facets(name: str) -> Fields:
    """A whole facets request."""
    return {"schema": "facets.request/1", "request_id": name, "tenant": TENANT, "deadline_ms": 60_000}


def request_headers(name: str) -> Headers:
    """Valid headers of a request."""
    return (*own_headers(name), ("correlation-id", name.encode()))


def _kinds(largest: int) -> Sequence[tuple[int, Make]]:
    """Groups of kinds with their shares of all records."""
    return (
        (25, _record(search, [*values(largest), *search_fields()], "search")),
        (15, _record(facets, [*values(largest), *facets_fields()], "facets")),
        (25, _record(search, search_fields(), "search")),
        (8, _record(facets, facets_fields(), "facets")),
        (8, _with_pictures),
        (6, _under_another_key),
        (6, _with_headers),
        (5, _at_another_time),
        (2, _of_another_kind),
    )


def filter_fields() -> Values:
    """Invalid values of filters."""
    return {
        "filters.created_after": TIMES_BEYOND,
        "filters.created_before": TIMES_BEYOND,
        "filters.price_min": (-1, float("nan"), float("inf"), -1e308, 10**400, "1", True),
        "filters.revision_min": (0, -1, 2**53 + 1, 2**64, 10**400, 1.5, "1", True, float("nan")),
        "filters.colours": (["mauve"], ["#12345"], ["#123456~41"], ["#123456~0"], "red", ["red"] * 15, ["\ud800"]),
        "filters.attributes": (["x"], ["=x"], ["x="], ["x" * 702], [1], "a=b"),
        "filters.tags": ([""], ["t" * 201], ["x"] * 51, "x", [1]),
        "filters.exclude_items": ([""], ["a\0b"], ["x"] * 201, ["x" * 201]),
        "filters.currency": ("eur", "", 1, "EURO"),
        "filters": ([], "x", 1, {"price_min": 2, "price_max": 1}, {"x": 1}),
        "any_of": ([{}], [{"price_min": 1}] * 11, {}, [1], [[]], [{"created_after": TIMES_BEYOND[0]}]),
        "none_of": ([{}], "x", [{"created_before": TIMES_BEYOND[2]}]),
        "request_id": ("", "a b", "x" * 65, "\ud800", 1, True, "a\n"),  # null: the gateway makes an id
        "tenant": NO_TEXTS,
        "deadline_ms": (49, 60_001, -1, 0, 10**400, 1.5, "5", True, float("nan")),
        "restricted": (0, 1, "true", []),
    }


def odd_filters() -> Values:
    """Valid filters with extreme values."""
    return {
        "filters.created_after": TIMES_AT_THE_EDGE,
        "filters.created_before": TIMES_AT_THE_EDGE,
        "filters.price_min": (0, -0.0, 5e-324, 1e-320, 1e308, 1.7976931348623157e308),
        "filters.revision_min": (1, 2**53),
        "filters.tags": (list(ODD_TEXTS), ["t" * 200] * 50),
        "filters.brand": (list(ODD_TEXTS),),
        "filters.attributes": (
            [f"{text}=x"[:701] for text in ODD_TEXTS if "=" not in text],
            ["a=" + "x" * 699] * 50,
        ),
        "filters.colours": (["#000000~40", "#ffffff~1", "#FfFfFf"], ["red"] * 14),
        "filters.exclude_items": (["x" * 200] * 200,),
        "any_of": ([{"price_min": 1e308}] * 10, [{"created_before": time} for time in TIMES_AT_THE_EDGE]),
        "none_of": ([{"tags": list(ODD_TEXTS)}] * 10,),
    }


def search_fields() -> list[Mutation]:
    """Invalid values of the fields of a search, and unusual ones that are valid."""
    bad = filter_fields() | {
        "weights": ({}, {"object": 0}, {"object": 1e-320}, {"object": 1e-320, "style": 5e-324}, [], {"x": 1}),
        "weights.object": NO_SHARES,
        "crop": ({"x": 0.5, "y": 0, "w": 0.6, "h": 1}, {"x": 0, "y": 0, "w": 0, "h": 1}, [0, 0, 1, 1]),
        "crop.w": (*NO_SHARES, None),
        "boosts": ({"recency": 0.3}, {"price": 0.1}, {"half_life_days": 0}, {"recency": float("nan")}, []),
        "top_k": (0, 101, -1, 10**400, 1.5, True, "1"),
        "offset": (-1, 901, 2**63, float("inf")),
        "group_size": (0, 11, 2, "2"),
        "diversity": NO_SHARES,
        "min_score": (-1.1, 1.1, float("nan"), "x", 10**400),
        "min_confidence": NO_SHARES,
        "min_as_of": ([{"source": "other", "partition": 0, "offset": 0}], [{"source": "catalog", "partition": -1}]),
        "like": (["a\0b"], [""], ["x"] * 11, "x", [None]),
        "unlike": (["x" * 201], [1]),
        "item_id": ("x", 1, "", "\ud800"),
        "intent": ("", "everything", 1),
        "objects": ("some", 1, True),
        "collapse": ("colour", 1),
        "image": (
            {},
            [],
            "x",
            {"kind": "ftp"},
            inline("%%"),
            inline(""),
            {"kind": "url", "url": "file:///etc/passwd"},
        ),
        "more_images": ([inline(picture())] * 8, [{}], {}, [None]),
        "moderation": (["UPPER"], "adult"),
        "strict": (0, "x"),
    }
    good = odd_filters() | {
        "weights": (
            {"object": 1e-6},
            {"object": 1, "style": 1e-320, "colour": 5e-324},
            {"object": 1, "style": 1, "colour": 1},
        ),
        "boosts": (
            {"recency": 0.2, "half_life_days": 5e-324},
            {"price": 0.2, "near_price": 1e308, "price_spread": 5e-324, "currency": "EUR"},
            {"price": 0.2, "near_price": 0, "price_spread": 1e308, "currency": "EUR"},
        ),
        "top_k": (1, 100, None),
        "strict": (None,),
        "restricted": (None,),
        "diversity": (0, 1, 5e-324),
        "offset": (0,),
        "min_score": (-1, 1, -0.0, 5e-324),
        "min_confidence": (0, 1, 5e-324),
        "explain": (True,),
        "thumbnails": (True,),
        "look": (True,),
        "understand": ("auto",),
        "objects": ("none", "auto", "all"),
        "crop": ({"x": 0, "y": 0, "w": 1, "h": 1}, {"x": 5e-324, "y": -0.0, "w": 1, "h": 1}),
        "deadline_ms": (50, 60_000),
        "more_images": ([inline(picture())] * 7,),
    }
    narrow = {"crop": ({"x": 0, "y": 0, "w": 5e-324, "h": 1}, {"x": 0.9, "y": 0.9, "w": 1e-300, "h": 1e-300})}
    unknown = {"like": (["nothing of that name"], list(ODD_TEXTS[7:10])), "unlike": (["nothing"],)}
    return [
        *fields(bad, Code.EVENT_INVALID, "bad field") * 4,
        *fields(good, None, "odd field") * 2,
        *fields(narrow, Code.CROP_IMPOSSIBLE, "narrow crop"),
        *fields(unknown, Code.ITEM_UNKNOWN, "unknown item"),
    ]


def facets_fields() -> list[Mutation]:
    """Invalid values of the fields of a facets request, and unusual ones that are valid."""
    bad = filter_fields() | {
        "facets": ([], ["other"], "brand", ["brand"] * 9, [1]),
        "limit": (0, 201, -1, 10**400, 1.5, True, "1"),
    }
    good = odd_filters() | {"facets": (["brand", "brand"], ["in_stock", "currency"]), "limit": (1, 200, None)}
    return [*fields(bad, Code.EVENT_INVALID, "bad field") * 3, *fields(good, None, "odd field")]


def _record(whole: Callable[[str], Fields], mutations: Sequence[Mutation], what: str) -> Make:
    def make(rng: Random, name: str) -> HostileRecord:
        kind, code, mutate = rng.choice(mutations)
        value, headers = mutate(rng, whole(name)), request_headers(name)
        return HostileRecord(SEARCH_REQUESTS, name.encode(), value, headers, 0, code, f"{what}: {kind}")

    return make


def _with_pictures(rng: Random, name: str) -> HostileRecord:
    kind, code, make = rng.choice(pictures())
    event = changed(search(name), rng.choice(("image", "more_images")), make(rng))
    if isinstance(event.get("more_images"), dict):
        event["more_images"] = [event["more_images"]]
    headers = request_headers(name)
    return HostileRecord(SEARCH_REQUESTS, name.encode(), dumped(event), headers, 0, code, f"picture: {kind}")


def _under_another_key(rng: Random, name: str) -> HostileRecord:
    key, code = rng.choice(
        [(None, None), (b"", None)]
        + [(key, Code.KEY_INVALID) for key in (b"other", b"\xff", b"k" * 50_000, name.encode() + b" ")]
    )
    value = dumped(facets(name))
    return HostileRecord(SEARCH_REQUESTS, key, value, request_headers(name), 0, code, "key: another, or none")


def _with_headers(rng: Random, name: str) -> HostileRecord:
    own = request_headers(name)
    strange: Sequence[Headers] = (
        (),
        own_headers(name),
        (*own_headers(name), ("correlation-id", b"\xff")),
        (*own_headers(name), ("correlation-id", b"c" * 100_000)),
        (*own, ("reply-to", b"catalog.items"), ("reply-partition", b"0")),
        (*own, ("reply-to", b"search.results.no-such-topic")),
        (
            *own,
            ("reply-to", b"search.results"),
            ("reply-partition", rng.choice((b"9999", b"-1", b"1e9", b"\xff", b""))),
        ),
        (*own, ("reply-to", b"../x\0"), ("reply-partition", None)),
        (*own, ("traceparent", b"00-" + b"0" * 70_000), ("ce_time", TIMES_BEYOND[0].encode())),
        (*own, ("correlation-id", b"twice"), ("correlation-id", name.encode())),
        (*own, *((f"x-{n}", rng.randbytes(20)) for n in range(500))),
    )
    value = dumped(facets(name))
    return HostileRecord(SEARCH_REQUESTS, name.encode(), value, rng.choice(strange), 0, None, "headers")


def _at_another_time(rng: Random, name: str) -> HostileRecord:
    now_ms = round(time.time() * 1000)
    bad = (-1, -(2**62), now_ms + 86_400_000, 253_402_300_799_999, 253_402_300_800_000, 2**62)
    good = (1, now_ms - 3_600_000, now_ms + 600_000)  # the first two come too late
    at, code = rng.choice([(at, Code.EVENT_INVALID) for at in bad] + [(at, None) for at in good])
    value = dumped(rng.choice((facets, search))(name))
    return HostileRecord(SEARCH_REQUESTS, name.encode(), value, request_headers(name), at, code, "time")


def _of_another_kind(rng: Random, name: str) -> HostileRecord:
    deleted: Fields = {"schema": "item.deleted/1", "tenant": TENANT, "item_id": name, "revision": 1}
    result: Fields = {"schema": "search.result/1", "request_id": name, "status": "ok"}
    value, key = rng.choice(((deleted, f"{TENANT}:{name}".encode()), (result, name.encode())))
    headers = request_headers(name)
    return HostileRecord(
        SEARCH_REQUESTS, key, dumped(value), headers, 0, Code.EVENT_UNKNOWN, "another kind of event"
    )


def _over_http(largest: int) -> Sequence[tuple[str, Callable[[str], Fields], Sequence[Mutation]]]:
    """Paths, whole bodies and their mutations; a body has no `schema`, so no mutation is about it."""
    broken = [
        each
        for each in values(largest)
        if "schema" not in each.kind and each.kind not in ("byte order mark", "field twice", "list of events")
    ]
    lists = [Mutation("list", Code.EVENT_UNREADABLE, lambda _, event: json.dumps([event]).encode())]
    return (
        ("/v1/search", search, [*broken, *lists, *search_fields() * 2]),
        ("/v1/facets", facets, [*broken, *lists, *facets_fields() * 2]),
    )
