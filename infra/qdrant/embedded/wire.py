"""Wire format: encode messages of the embedded index as MessagePack of a closed set of types, never code.

Plain values are encoded as they are. Tuples, arrays and our objects are encoded as a list. Its first element is a
tag: an extension type, not used by plain values, with the number of the type. The other elements are the parts. The
parts of an object are its fields without a default, then a map of the other fields that differ from their defaults
(in a search plan, these are few).
"""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields
from datetime import datetime
from typing import Any, NamedTuple

import msgpack
import numpy as np

from infra.qdrant.conditions import AnyOf, Below, Between, HasWord, NoneOf, NotAnyOf, OneOf
from infra.qdrant.contract import FacetPlan, IndexStatus, Patch, Point, ScoredPoint, SearchPlan
from schemas.filters import Filters

TAG = 1
"""The MessagePack extension type of a tag; its single byte is the number of a type."""
DTYPE_KINDS = "fiub"
"""Allowed numpy dtype kinds: floats, integers and booleans, but never objects."""


class MalformedMessage(ValueError):
    """Bytes that are not a valid message."""


@dataclass(frozen=True)
class ErrorAnswer:
    """The answer to a failed request: the name of the error class, and its message."""

    name: str
    message: str


class _Tag(NamedTuple):
    number: int


_RECORDS = (
    *(Point, Patch, SearchPlan, FacetPlan, ScoredPoint, IndexStatus, ErrorAnswer),
    *(AnyOf, NotAnyOf, Between, Below, OneOf, NoneOf, HasWord),
)
"""The dataclasses that can be encoded; their position is their type number."""
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
"""Fields without a default, by type. `filters` is one of them, because its default factory takes 10 us."""
_OPTIONAL: Mapping[type, Mapping[str, object]] = {
    **{kind: {f.name: f.default for f in fields(kind) if f.default is not MISSING} for kind in _RECORDS},
    Filters: {name: field.default for name, field in Filters.model_fields.items()},
}
"""Fields with a default, by type, and their defaults."""


def encode(message: object) -> bytes:
    """Encode a message; raises ValueError if it contains an unsupported type or value."""
    try:
        data: bytes = msgpack.packb(message, default=_to_parts, strict_types=True, unicode_errors="surrogatepass")
    except (TypeError, OverflowError) as error:
        raise ValueError(f"the index takes plain values of at most 64 bits: {error}") from None
    return data


def decode(data: "bytes | bytearray | memoryview") -> Any:
    """Decode a message; raises MalformedMessage on invalid bytes."""
    try:
        return msgpack.unpackb(data, list_hook=_from_parts, ext_hook=_decode_tag, unicode_errors="surrogatepass")
    except (ValueError, TypeError, LookupError, OverflowError, msgpack.UnpackException) as error:
        raise MalformedMessage(f"not a message of this version of lookstream: {error!r:.200}") from None


def _to_parts(value: object) -> object:
    """Convert a value that MessagePack does not support to one that it does; raises TypeError."""
    kind = type(value)
    if kind in _TAGS:
        parts = [_TAGS[kind], *(getattr(value, name) for name in _REQUIRED[kind])]
        if optional := _OPTIONAL[kind]:
            values = ((name, getattr(value, name), default) for name, default in optional.items())
            parts.append(
                {name: option for name, option, default in values if option is not default and option != default}
            )
        return parts
    match value:
        case np.ndarray() if value.dtype.kind in DTYPE_KINDS:
            return [_ARRAY_TAG, value.dtype.str, list(value.shape), value.tobytes()]
        case tuple():
            return [_TUPLE_TAG, *value]
        case datetime():
            return [_DATETIME_TAG, value.isoformat()]
        case np.generic():
            return value.item()
        case Mapping():
            return dict(value)
        case str() | int() | float():  # a subclass, such as an enum
            return _to_builtin(value)
    raise TypeError(f"a {kind.__name__} does not travel")


def _to_builtin(value: str | int | float) -> str | int | float:
    if isinstance(value, str):
        return str.__str__(value)
    return int(value) if isinstance(value, int) else float(value)


def _decode_tag(code: int, data: bytes) -> _Tag:
    if code != TAG or len(data) != 1:
        raise ValueError(f"extension type {code}")
    return _Tag(data[0])


def _from_parts(parts: list[Any]) -> Any:
    """Return the list itself, or the value that it encodes if it starts with a tag."""
    if not parts or type(parts[0]) is not _Tag:
        return parts
    return _DECODERS[parts[0].number](*parts[1:])


def _array(kind: str, shape: list[int], data: bytes) -> "np.ndarray[Any, Any]":
    dtype = np.dtype(kind)
    if dtype.kind not in DTYPE_KINDS:
        raise ValueError(f"an array of {kind}")
    return np.frombuffer(data, dtype).reshape(shape).copy()


def _filters(values: dict[str, Any]) -> Filters:
    """Rebuild filters without validation, because the sender has validated them."""
    return Filters.model_construct(**values) if values else _NO_FILTERS


def _record_decoder(kind: type) -> Callable[..., object]:
    """Return a function that builds an object from its required fields and, if any, the map of optional ones."""
    if not _OPTIONAL[kind]:
        return kind
    required = _REQUIRED[kind]
    return lambda *parts: kind(**dict(zip(required, parts, strict=False)), **parts[len(required)])


_DECODERS: Mapping[int, Callable[..., Any]] = {
    **{number: _record_decoder(kind) for number, kind in enumerate(_RECORDS)},
    _FILTERS: _filters,
    _TUPLE: lambda *parts: parts,
    _ARRAY: _array,
    _DATETIME: datetime.fromisoformat,
}
"""Functions that build a value from its parts, by type number."""
