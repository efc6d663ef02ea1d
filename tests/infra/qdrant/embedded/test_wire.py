"""The messages of the embedded index: every value of its contract survives, and random bytes are refused."""

import socket
import struct
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, timedelta, timezone
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from infra.qdrant.conditions import AnyOf, Below, Between, NoneOf, NotAnyOf, OneOf
from infra.qdrant.contract import FacetPlan, IndexStatus, Patch, Point, ScoredPoint, SearchPlan
from infra.qdrant.embedded.channel import (
    HEADER,
    MAGIC,
    MAX_MESSAGE_BYTES,
    MAX_PATH_BYTES,
    Channel,
    address_of,
    bind,
    connect,
    is_listening,
)
from infra.qdrant.embedded.wire import ErrorAnswer, MalformedMessage, decode, encode
from schemas.filters import Filters

WHOLE = st.integers(-(2**63), 2**64 - 1)
TEXTS = st.text(st.characters(exclude_categories=()), max_size=20)
"""Halves of surrogate pairs among them."""
NUMBERS = st.floats(allow_nan=False)
PLAIN = st.recursive(
    st.none() | st.booleans() | WHOLE | NUMBERS | TEXTS | st.binary(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)
"""What a payload may hold."""
PAYLOADS = st.dictionaries(TEXTS, PLAIN, max_size=5)
VECTORS = arrays(np.float32, st.integers(1, 9), elements=st.floats(width=32))
# As pydantic reads them: in zones with a summer time there are hours that equal no others (PEP 495).
OFFSETS = st.integers(-1_439, 1_439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
MOMENTS = st.datetimes(timezones=st.just(UTC) | OFFSETS)
WORDS = st.lists(TEXTS, max_size=3).map(tuple)
MAYBE = st.none() | NUMBERS
FILTERS = st.builds(
    Filters.model_construct,
    category=WORDS,
    attributes=WORDS,
    in_stock=st.none() | st.booleans(),
    price_min=MAYBE,
    created_after=st.none() | MOMENTS,
    revision_max=st.none() | WHOLE,
)
PLAIN_CONDITIONS = (
    st.builds(AnyOf, TEXTS, WORDS)
    | st.builds(NotAnyOf, TEXTS, WORDS)
    | st.builds(Between, TEXTS, MAYBE, MAYBE, MAYBE)
    | st.builds(Below, TEXTS, WHOLE)
)
CONDITIONS = st.recursive(
    PLAIN_CONDITIONS,
    lambda inner: (
        st.builds(OneOf, st.lists(st.lists(inner, max_size=2).map(tuple), max_size=2).map(tuple))
        | st.builds(NoneOf, st.lists(st.lists(inner, max_size=2).map(tuple), max_size=2).map(tuple))
    ),
    max_leaves=5,
)
SEVERAL = st.lists(CONDITIONS, max_size=2).map(tuple)
MORE_FILTERS = st.lists(FILTERS, max_size=2).map(tuple)
POINTS = st.builds(Point, TEXTS, PAYLOADS, st.none() | VECTORS)
PLANS = st.builds(
    SearchPlan,
    vector=st.none() | VECTORS,
    tenant=TEXTS,
    filters=FILTERS,
    any_of=MORE_FILTERS,
    none_of=MORE_FILTERS,
    limit=WHOLE,
    min_score=MAYBE,
    exact=st.booleans(),
    extra_conditions=SEVERAL,
    excluded_ids=WORDS,
    included_keys=st.none() | WORDS,
    text=TEXTS,
)
FACETS = st.builds(FacetPlan, TEXTS, TEXTS, FILTERS, MORE_FILTERS, MORE_FILTERS, SEVERAL)
STATUS = st.builds(IndexStatus, TEXTS, WHOLE, WHOLE, WHOLE, WHOLE, st.none() | WHOLE, st.booleans(), st.booleans())
FOUND = st.builds(ScoredPoint, TEXTS, NUMBERS, PAYLOADS)
MESSAGES = (
    st.tuples(st.just("search"), st.lists(PLANS, max_size=3))
    | st.tuples(st.just("upsert"), st.lists(POINTS, max_size=3))
    | st.lists(st.builds(Patch, TEXTS, PAYLOADS), max_size=3)
    | st.lists(FACETS, max_size=3)
    | st.lists(st.lists(FOUND, max_size=3), max_size=3)
    | st.dictionaries(TEXTS, VECTORS | POINTS | PAYLOADS, max_size=3)
    | st.tuples(st.lists(POINTS, max_size=2), st.none() | TEXTS)
    | STATUS
    | PLAIN
)
"""Requests and answers of the contract."""


def equal(one: object, other: object) -> bool:
    """Whether two messages are the same, types included."""
    if type(one) is not type(other):
        return False
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()
    if is_dataclass(one):
        return all(equal(getattr(one, each.name), getattr(other, each.name)) for each in fields(one))
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(equal, one, other))
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    return one == other


@given(MESSAGES)
def test_every_request_and_answer_goes_through_unchanged(message: object) -> None:
    assert equal(decode(encode(message)), message)


@given(st.binary(max_size=200))
def test_random_bytes_are_a_message_or_malformed(data: bytes) -> None:
    try:
        decode(data)
    except MalformedMessage:
        return


@given(MESSAGES, st.data())
def test_a_message_with_some_bytes_changed_is_a_message_or_malformed(message: object, draw: st.DataObject) -> None:
    data = bytearray(encode(message))
    for _ in range(draw.draw(st.integers(1, 4))):
        data[draw.draw(st.integers(0, len(data) - 1))] = draw.draw(st.integers(0, 255))
    try:
        decode(data)
    except MalformedMessage:
        return


class Kind(StrEnum):
    LIVE = "live"


def test_what_is_nearly_plain_becomes_plain() -> None:
    message = {"kind": Kind.LIVE, "share": np.float64(0.5), "count": np.int64(3), Kind.LIVE: True}
    assert equal(decode(encode(message)), {"kind": "live", "share": 0.5, "count": 3, "live": True})


def test_vectors_can_be_written_to() -> None:
    vector = decode(encode(np.ones(3, np.float32)))
    vector[0] = 2
    assert vector[0] == 2


@pytest.mark.parametrize("value", [object(), {1, 2}, 2**64, np.array([object()]), lambda: 0])
def test_what_does_not_travel_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="plain values"):
        encode([value])


def test_code_does_not_travel() -> None:
    with pytest.raises(MalformedMessage):
        decode(
            b"\x80\x04\x95\x1d\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system\x94\x93\x94\x8c\x02id\x94\x85\x94R\x94."
        )


def pair() -> tuple[Channel, socket.socket]:
    ours, theirs = socket.socketpair()
    for each in (ours, theirs):
        each.settimeout(60)
    return Channel(ours), theirs


@pytest.mark.parametrize(
    ("sent", "match"),
    [
        (HEADER.pack(b"HTTP", 3) + b"abc", "begins with b'HTTP'"),
        (HEADER.pack(MAGIC, MAX_MESSAGE_BYTES + 1), "where at most 256"),
        (HEADER.pack(MAGIC, 2) + b"\xc1\xc1", "not a message"),
    ],
)
def test_a_frame_that_is_none_is_malformed(sent: bytes, match: str) -> None:
    channel, peer = pair()
    with peer, channel:
        peer.sendall(sent)
        with pytest.raises(MalformedMessage, match=match):
            channel.receive()


def test_a_peer_that_hangs_up_within_a_frame_is_the_end() -> None:
    channel, peer = pair()
    with channel:
        peer.sendall(struct.pack("!4sI", MAGIC, 100) + b"x")
        peer.close()
        with pytest.raises(EOFError):
            channel.receive()


def test_errors_travel_by_name() -> None:
    assert decode(encode(ErrorAnswer("EngineError", "it failed"))) == ErrorAnswer("EngineError", "it failed")


@pytest.fixture
def runtime() -> Iterator[Path]:
    """A folder with a path that is short enough for a socket: pytest's own may not be."""
    with TemporaryDirectory(dir="/tmp") as folder:
        yield Path(folder)


def test_a_folder_for_short_lived_files_with_a_long_path_is_left_out(
    tmp_path: Path, runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / ("r" * MAX_PATH_BYTES)))
    monkeypatch.setattr("tempfile.tempdir", str(runtime))
    assert address_of(tmp_path / ("d" * MAX_PATH_BYTES)).parent.parent == runtime


def test_a_deep_folder_has_its_socket_elsewhere_and_for_this_user_alone(
    tmp_path: Path, runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / ("d" * MAX_PATH_BYTES)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    address = address_of(deep)
    assert address.parent.parent == runtime
    assert address == address_of(deep) != address_of(deep / "other")
    with bind(address) as listener:
        assert not is_listening(address)
        listener.listen()
        assert is_listening(address)
        with connect(address, 1):
            pass
    assert address.parent.stat().st_mode & 0o777 == 0o700
    address.parent.chmod(0o755)
    with pytest.raises(PermissionError, match="not this user's alone"):
        address_of(deep)


def test_a_folder_with_a_short_path_has_its_socket_inside(tmp_path: Path) -> None:
    address = address_of(tmp_path / "index")
    assert address == tmp_path / "index" / "socket"
    assert address.parent.stat().st_mode & 0o777 == 0o700
    assert list(address.parent.iterdir()) == []
