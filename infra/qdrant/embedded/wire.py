"""The messages of the embedded index as bytes: MessagePack of a closed set of types, data alone and never code.

Plain values travel as they are. Tuples, arrays and objects of ours travel as a list whose first element is a tag,
an extension type that no plain value has, with the number of the type. What follows are the parts: of an object the
fields without a default, and a map of those others that differ from theirs, for few fields of a search plan do.
"""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields
from datetime import datetime
from typing import Any, NamedTuple

import msgpack
import numpy as np

from infra.qdrant.conditions import AnyOf, Below, Between, NoneOf, NotAnyOf, OneOf
from infra.qdrant.contract import FacetPlan, IndexStatus, Patch, Point, ScoredPoint, SearchPlan
from schemas.filters import Filters

TAG = 1
"""The extension type whose single byte is the number of a type."""
NUMBERS = "fiub"
"""Kinds of numpy's types that an array may have: numbers and truth values; never objects."""


class MalformedMessage(ValueError):
    """Bytes that are no message of ours."""


@dataclass(frozen=True)
class ErrorAnswer:
    """What a request came to that could not be done: the name of the error's class, and its message."""

    name: str
    message: str


class _Tag(NamedTuple):
    number: int


_RECORDS = (
    *(Point, Patch, SearchPlan, FacetPlan, ScoredPoint, IndexStatus, ErrorAnswer),
    *(AnyOf, NotAnyOf, Between, Below, OneOf, NoneOf),
)
"""The dataclasses that travel; their order is their number."""
_FILTERS, _TUPLE, _ARRAY, _DATETIME = range(100, 104)


def _tag_of(number: int) -> msgpack.ExtType:
    return msgpack.ExtType(TAG, bytes([number]))


_TAGS = {kind: _tag_of(number) for number, kind in enumerate(_RECORDS)} | {Filters: _tag_of(_FILTERS)}
_TUPLE_TAG, _ARRAY_TAG, _DATETIME_TAG = _tag_of(_TUPLE), _tag_of(_ARRAY), _tag_of(_DATETIME)
_NO_FILTERS = Filters()
_REQUIRED: Mapping[type, tuple[str, ...]] = {
    **{kind: tuple(field.name for field in fields(kind) if field.default is MISSING) for kind in _RECORDS},
    Filters: (),
}
"""The fields without a default; `filters` counts as one of them, since making it anew takes 10 us."""
_OPTIONAL: Mapping[type, Mapping[str, object]] = {
    **{kind: {f.name: f.default for f in fields(kind) if f.default is not MISSING} for kind in _RECORDS},
    Filters: {name: field.default for name, field in Filters.model_fields.items()},
}
"""The other fields, with their defaults."""


def encode(message: object) -> bytes:
    """A message as bytes; raises ValueError on what does not travel."""
    try:
        data: bytes = msgpack.packb(message, default=_parts, strict_types=True, unicode_errors="surrogatepass")
    except (TypeError, OverflowError) as error:
        raise ValueError(f"the index takes plain values of at most 64 bits: {error}") from None
    return data


def decode(data: "bytes | bytearray | memoryview") -> Any:
    """The message in these bytes; raises Malformed when there is none."""
    try:
        return msgpack.unpackb(data, list_hook=_whole, ext_hook=_tag, unicode_errors="surrogatepass")
    except (ValueError, TypeError, LookupError, OverflowError, msgpack.UnpackException) as error:
        raise MalformedMessage(f"not a message of this version of lookstream: {error!r:.200}") from None


def _parts(value: object) -> object:
    """What stands for a value that MessagePack does not know."""
    kind = type(value)
    if kind in _TAGS:
        parts = [_TAGS[kind], *(getattr(value, name) for name in _REQUIRED[kind])]
        if optional := _OPTIONAL[kind]:
            held = ((name, getattr(value, name), default) for name, default in optional.items())
            parts.append({name: one for name, one, default in held if one is not default and one != default})
        return parts
    match value:
        case np.ndarray() if value.dtype.kind in NUMBERS:
            return [_ARRAY_TAG, value.dtype.str, list(value.shape), value.tobytes()]
        case tuple():
            return [_TUPLE_TAG, *value]
        case datetime():
            return [_DATETIME_TAG, value.isoformat()]
        case np.generic():
            return value.item()
        case Mapping():
            return dict(value)
        case str() | int() | float():  # of an enumeration, say
            return _plain(value)
    raise TypeError(f"a {kind.__name__} does not travel")


def _plain(value: str | int | float) -> str | int | float:
    if isinstance(value, str):
        return str.__str__(value)
    return int(value) if isinstance(value, int) else float(value)


def _tag(code: int, data: bytes) -> _Tag:
    if code != TAG or len(data) != 1:
        raise ValueError(f"extension type {code}")
    return _Tag(data[0])


def _whole(parts: list[Any]) -> Any:
    """A list, or what its tag says that it stands for."""
    if not parts or type(parts[0]) is not _Tag:
        return parts
    return _MAKERS[parts[0].number](*parts[1:])


def _array(kind: str, shape: list[int], data: bytes) -> "np.ndarray[Any, Any]":
    numbers = np.dtype(kind)
    if numbers.kind not in NUMBERS:
        raise ValueError(f"an array of {kind}")
    return np.frombuffer(data, numbers).reshape(shape).copy()


def _filters(held: dict[str, Any]) -> Filters:
    """Filters as they were: whoever made them has checked them."""
    return Filters.model_construct(**held) if held else _NO_FILTERS


def _record_maker(kind: type) -> Callable[..., object]:
    """What makes an object of its required fields and, if it has others, a map of those that were sent."""
    if not _OPTIONAL[kind]:
        return kind
    required = _REQUIRED[kind]
    return lambda *parts: kind(**dict(zip(required, parts, strict=False)), **parts[len(required)])


_MAKERS: Mapping[int, Callable[..., Any]] = {
    **{number: _record_maker(kind) for number, kind in enumerate(_RECORDS)},
    _FILTERS: _filters,
    _TUPLE: lambda *parts: parts,
    _ARRAY: _array,
    _DATETIME: datetime.fromisoformat,
}
"""What makes a value of its parts, by the number in its tag."""
