"""Mutations of the value of a record, each with the code that the result must be refused with.

A code follows from how a value was made; nothing here calls the code under test.
"""

import base64
import io
import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from random import Random
from typing import Any, NamedTuple

from PIL import Image

from schemas.failures import Code

Fields = dict[str, Any]
LARGEST = 6_000_000
"""Bytes of the largest value."""


class Mutation(NamedTuple):
    """One way to change an event: its kind, the code of the refusal (None: it stays valid), and the function."""

    kind: str
    code: Code | None
    mutate: Callable[[Random, Fields], bytes]


def dumped(event: Mapping[str, Any], more: str = "") -> bytes:
    """An event as JSON, and fields that json.dumps would not write; lone surrogates are escaped."""
    text = json.dumps(event)
    return (f"{text[:-1]},{more}}}" if more else text).encode()


def size_up_to(rng: Random, largest: int) -> int:
    """A size whose logarithm is uniform: most are small, some are near the largest."""
    return int(min(largest, 10 ** rng.uniform(1, 7)))


def values(largest: int = LARGEST) -> Sequence[Mutation]:
    """Mutations that fit every event."""
    unreadable, invalid = Code.EVENT_UNREADABLE, Code.EVENT_INVALID
    return (
        Mutation("random bytes", unreadable, lambda rng, _: b"\xff" + rng.randbytes(rng.randint(0, 300))),
        Mutation("empty", unreadable, lambda *_: b""),
        Mutation("UTF-16", unreadable, lambda _, e: json.dumps(e).encode("utf-16")),
        Mutation("UTF-32", unreadable, lambda _, e: json.dumps(e).encode("utf-32")),
        Mutation(
            "Latin-1", unreadable, lambda _, e: json.dumps(e | {"x": "é"}, ensure_ascii=False).encode("latin-1")
        ),
        Mutation("surrogate in UTF-8", unreadable, lambda _, e: dumped(e)[:-1] + b',"x":"\xed\xa0\x80"}'),
        Mutation(
            "surrogate escaped", invalid, lambda rng, e: dumped(e, rf'"x":"\u{rng.randint(0xD800, 0xDFFF):x}"')
        ),
        Mutation("byte order mark", None, lambda _, e: b"\xef\xbb\xbf" + dumped(e)),
        Mutation("cut off", unreadable, lambda rng, e: dumped(e)[: -rng.randint(1, 20)]),
        Mutation(
            "more behind it", unreadable, lambda rng, e: dumped(e) + rng.choice((b"}", b"{}", b"\x00", b",", b"1"))
        ),
        Mutation(
            "no object", unreadable, lambda rng, _: rng.choice((b"[]", b"1", b"null", b'"x"', b"true", b"NaN"))
        ),
        Mutation("list of events", unreadable, lambda _, e: b"[" + dumped(e) + b"]"),
        Mutation("no schema", unreadable, lambda _, e: dumped({k: v for k, v in e.items() if k != "schema"})),
        Mutation(
            "schema no text", unreadable, lambda rng, e: dumped(e | {"schema": rng.choice((1, None, [], {}, True))})
        ),
        Mutation("schema unknown", Code.EVENT_UNKNOWN, lambda rng, e: dumped(e | {"schema": _letters(rng, 40)})),
        Mutation(
            "schema endless",
            Code.EVENT_UNKNOWN,
            lambda rng, e: dumped(e | {"schema": "x" * size_up_to(rng, largest)}),
        ),
        Mutation("field twice", invalid, _twice),
        Mutation("field unknown", invalid, lambda rng, e: dumped(e | {"x" + _letters(rng, 30): _any(rng)})),
        Mutation("deep", invalid, lambda rng, e: dumped(e, '"x":' + _nested(rng, rng.randint(11, 300)))),
        Mutation(
            "bottomless", unreadable, lambda rng, e: dumped(e, '"x":' + _nested(rng, rng.randint(20_000, 80_000)))
        ),
        Mutation("endless integer", invalid, lambda rng, e: dumped(e, f'"x":{"9" * size_up_to(rng, 1_000_000)}')),
        Mutation(
            "no number",
            invalid,
            lambda rng, e: dumped(e, f'"x":{rng.choice(("NaN", "Infinity", "-Infinity", "1e999"))}'),
        ),
        Mutation(
            "bad number", unreadable, lambda rng, e: dumped(e, f'"x":{rng.choice(("01", "+1", ".5", "0x1", "1e"))}')
        ),
        Mutation(
            "wide", invalid, lambda rng, e: dumped(e, '"x":[' + "[]," * (size_up_to(rng, largest) // 3) + "0]")
        ),
        Mutation("many fields", invalid, _many_fields(largest)),
        Mutation("large letters", invalid, lambda rng, e: dumped(e, f'"x":"{"a" * size_up_to(rng, largest)}"')),
        Mutation(
            "large noise", invalid, lambda rng, e: dumped(e, f'"x":"{_noise(rng, size_up_to(rng, largest))}"')
        ),
        Mutation("large zeros", unreadable, lambda rng, _: b"\0" * size_up_to(rng, largest)),
        Mutation("large bytes", unreadable, lambda rng, _: b"\xff" + rng.randbytes(size_up_to(rng, largest))),
    )


def fields(changes: Mapping[str, Sequence[object]], code: Code | None, kind: str) -> list[Mutation]:
    """Events with one of these values in one of these fields; a dot leads into a field that is an object."""

    def change(rng: Random, event: Fields) -> bytes:
        path = rng.choice(sorted(changes))
        return dumped(changed(event, path, rng.choice(changes[path])))

    return [Mutation(kind, code, change)]


def changed(event: Fields, path: str, value: object) -> Fields:
    """An event with another value at a path, as `filters.created_after`."""
    name, _, rest = path.partition(".")
    return event | {name: changed(event.get(name) or {}, rest, value) if rest else value}


TIMES_BEYOND: tuple[Any, ...] = (
    "0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00.000001+00:01", "9999-12-31T23:59:59-14:00",
    "9999-12-31T23:59:59.999999-00:01", "10000-01-01T00:00:00Z", "0000-12-31T00:00:00Z", "-0001-01-01T00:00:00Z",
    "2026-02-30T00:00:00Z", "2026-01-01T25:00:00Z", "2026-01-01T00:00:00", "2026-01-01T00:00:00+99:00", "now", "",
    1767225600, -1, 1e300, True, [], {}, "9" * 400,
)  # fmt: skip
"""Invalid times, or times outside the range of UTC."""
TIMES_AT_THE_EDGE = (
    "0001-01-01T00:00:00Z", "0001-01-01T00:00:00-14:00", "9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59+14:00",
    "1969-12-31T23:59:59.999999Z", "1970-01-01T00:00:00Z", "2262-04-11T23:47:16.854776Z", "2038-01-19T03:14:08Z",
)  # fmt: skip
NO_INTEGERS: tuple[Any, ...] = (
    0,
    -1,
    2**53 + 1,
    2**63,
    2**64,
    10**400,
    1.5,
    "1",
    True,
    None,
    [],
    {},
    float("nan"),
    float("inf"),
    1e308,
)
"""Invalid values of a revision."""
NO_PRICES: tuple[Any, ...] = (
    -0.01,
    1e12 + 1,
    1e308,
    0.00001,
    float("nan"),
    float("inf"),
    "x",
    "",
    "1e9999",
    "٣" * 30,
    [],
    {},
    True,
    10**400,
)
ODD_TEXTS = (
    "\0", "a\0b", "\u202etxt", "\ufeff", "🦆" * 60, "e\u0301" * 60, "\x1b[31mred", "'; DROP TABLE items; --",
    "{{7*7}}",
    "<script>alert(1)</script>", "%s%n", "${jndi:ldap://x}", "a\u2028b", "A" * 200,
    "ﷺ" * 60, "../../etc/passwd",
)  # fmt: skip
"""Valid texts that may break a program."""
NO_TEXTS: tuple[Any, ...] = ("\ud800", "x\udfff", "a" * 2_049, 1, 1.5, True, [], {}, ["a"])


@cache
def picture(width: int = 32, height: int = 32, kind: str = "PNG") -> str:
    """A picture in base64: black at the left, white at the right."""
    image, out = Image.new("L", (width, height)), io.BytesIO()
    image.paste(255, (width // 2, 0, width, height))
    image.save(out, kind)
    return base64.b64encode(out.getvalue()).decode()


def inline(data: str) -> Fields:
    """A picture inside an event."""
    return {"kind": "inline", "data": data}


def pictures() -> Sequence[tuple[str, Code, Callable[[Random], Fields]]]:
    """Pictures that fail without a request over the network."""
    whole = base64.b64decode(picture(64, 64))
    refused, broken = Code.SOURCE_REFUSED, Code.IMAGE_UNREADABLE
    return (
        ("no picture", Code.IMAGE_FORMAT, lambda rng: _bytes(b"x" + rng.randbytes(rng.randint(1, 400)))),
        ("HTML", Code.IMAGE_FORMAT, lambda _: _bytes(b"<html>not found</html>")),
        ("SVG", Code.IMAGE_FORMAT, lambda _: _bytes(b'<svg xmlns="http://www.w3.org/2000/svg"/>')),
        ("cut off", broken, lambda rng: _bytes(whole[: rng.randint(50, len(whole) - 40)])),
        ("too small", Code.IMAGE_TOO_SMALL, lambda rng: inline(picture(rng.choice((1, 15)), 40))),
        ("too large", Code.IMAGE_TOO_LARGE, lambda rng: inline(picture(rng.choice((25_000, 60_000)), 5_000))),
        (
            "private address",
            refused,
            lambda rng: _url(rng, "127.0.0.1", "169.254.169.254", "[::1]", "10.0.0.1", "0"),
        ),
        (
            "strange address",
            refused,
            lambda rng: _url(rng, "a\0b", "user:pw@a.example", "a.example:22", "[::", "%", "@"),
        ),
        (
            "no bucket of ours",
            refused,
            lambda rng: {"kind": "s3", "bucket": "private", "key": rng.choice(ODD_TEXTS)},
        ),
        ("no folder of ours", refused, lambda rng: {"kind": "file", "root": "etc", "path": rng.choice(ODD_TEXTS)}),
    )


def _bytes(data: bytes) -> Fields:
    return inline(base64.b64encode(data).decode())


def _url(rng: Random, *hosts: str) -> Fields:
    return {"kind": "url", "url": f"https://{rng.choice(hosts)}/{rng.randint(0, 99)}.png"}


def _letters(rng: Random, most: int) -> str:
    return "".join(rng.choice("abé🦆\0\n\"\\/'.:*€") for _ in range(rng.randint(1, most)))


def _noise(rng: Random, size: int) -> str:
    """Letters that do not compress."""
    return base64.b64encode(rng.randbytes(size * 3 // 4)).decode()


def _any(rng: Random) -> object:
    """Any value but null, which over HTTP is as good as no field."""
    return rng.choice((True, 0, -1, 2**70, 1e308, "x", [], {}, [[]], {"a": {}}, 5e-324))


def _nested(rng: Random, depth: int) -> str:
    if rng.random() < 0.5:
        return "[" * depth + "]" * depth
    return '{"a":' * depth + "0" + "}" * depth


def _twice(rng: Random, event: Fields) -> bytes:
    """A field of the event again, with its own value or another."""
    name = rng.choice(sorted(event))
    return dumped(event, f"{json.dumps(name)}:{json.dumps(rng.choice((event[name], 'other', None)))}")


def _many_fields(largest: int) -> Callable[[Random, Fields], bytes]:
    def mutate(rng: Random, event: Fields) -> bytes:
        count = max(11_000, size_up_to(rng, largest) // 12)
        return dumped(event, ",".join(f'"x{n}":{n % 7}' for n in range(count)))

    return mutate
