"""Points as both engines store them: what is checked before a write, and what is read back."""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Protocol

import numpy as np

from infra.qdrant.conditions import DEAD, LIVE, META, AnyOf, Below, Between, Condition, NotAnyOf, live_of
from infra.qdrant.contract import VECTOR, EncoderDiffers, Patch, Payload, Point, Vector

META_ID = str(uuid.uuid5(uuid.NAMESPACE_URL, "lookstream:collection"))
"""The one point that is no picture: it says which encoder made the collection."""


LIVE_ALONE = AnyOf("state", (LIVE,))
PICTURES = NotAnyOf("state", (META,))
"""What holds of points and tombstones, not of what describes the collection."""

TWINS = 256
"""Points that are looked through for those of the same bytes."""
SAMPLED = ["item_id", "category", "category_source", "studio"]
"""The payload keys that a sample tells."""


class EngineRecord(Protocol):
    """A point as an engine gives it back; both engines' records have these."""

    @property
    def id(self) -> object:
        """Point id."""

    @property
    def payload(self) -> dict[str, object] | None:
        """The payload keys that were asked for."""

    @property
    def vector(self) -> object:
        """The vectors that were asked for, by name."""


@dataclass(frozen=True)
class CollectionEncoder:
    """The encoder that made a collection: its fingerprint, and how many numbers its vectors hold."""

    fingerprint: str
    size: int


@dataclass(frozen=True)
class PointRow:
    """A point that was checked, as plain numbers and ready to be written."""

    id: str
    payload: dict[str, object]
    vector: list[float] | None


def older_than(version: int) -> Below:
    """The condition of every write: the stored version is below the new one."""
    return Below("version", version)


def patched_by(patch: Patch) -> list[Condition]:
    """What a point must satisfy to get a patch; raises ValueError when it has no version."""
    return [older_than(version_of(patch.payload)), LIVE_ALONE]


def tombstones(before_us: int) -> list[Condition]:
    """What holds of the tombstones that are older than this moment."""
    return [AnyOf("state", (DEAD,)), Between("dead_at", below=before_us)]


def by_version(versions: Mapping[str, int]) -> dict[int, list[str]]:
    """The ids of each version."""
    groups: dict[int, list[str]] = {}
    for id_, version in versions.items():
        groups.setdefault(version, []).append(id_)
    return groups


def meta_payload(maker: CollectionEncoder) -> dict[str, object]:
    """The payload of the one point that says which encoder made the collection."""
    return {"state": META, "fingerprint": maker.fingerprint, "size": maker.size}


def encoder_of(stored: Payload) -> CollectionEncoder:
    """Which encoder made the collection, read from the payload of its meta point."""
    size = stored.get("size")
    return CollectionEncoder(str(stored.get("fingerprint")), size if isinstance(size, int) else 0)


def note_id(name: str) -> str:
    """Where the note of that name is kept: a point of its own beside the meta point."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"lookstream:note:{name}"))


def note_payload(note: Payload) -> dict[str, object]:
    """A note as the payload of its point, which no search finds by its state."""
    return {"state": META, "note": dict(note)}


def notes_in(records: Sequence[EngineRecord], names: Sequence[str]) -> dict[str, Payload]:
    """The notes in the records of these names' ids, by name."""
    found = {str(record.id): (record.payload or {}).get("note") for record in records}
    notes = {name: found.get(note_id(name)) for name in names}
    return {name: note for name, note in notes.items() if isinstance(note, dict)}


def payloads_in(records: Iterable[EngineRecord]) -> dict[str, Payload]:
    """The payload of each record, by id; a key without a value is no key."""
    return {str(record.id): payload_in(record) for record in records}


def payload_in(record: EngineRecord) -> Payload:
    """The payload of a record; a key without a value is no key."""
    return {key: value for key, value in (record.payload or {}).items() if value is not None}


def check_encoder(stored: CollectionEncoder, mine: CollectionEncoder) -> None:
    """Raises EncoderDiffers unless the collection was made by this encoder."""
    if stored != mine:
        raise EncoderDiffers(
            f"the index was made by encoder {stored.fingerprint} ({stored.size} numbers a vector), this process "
            f"runs {mine.fingerprint} ({mine.size} numbers): use the old encoder (LOOKSTREAM_ENCODER), another "
            "LOOKSTREAM_QDRANT_COLLECTION, or another LOOKSTREAM_DATA folder"
        )


def rows_by_version(points: Sequence[Point], size: int) -> list[tuple[int, list[PointRow]]]:
    """The points to write, each id once at its newest version, in runs of one version.

    One condition holds for a whole write, hence the runs; points keep their order. Of two points of one id and
    version the first counts. Raises ValueError on a point that must not be written: engines accept vectors with
    NaN, which then break searches.
    """
    newest: dict[str, Point] = {}
    for point in points:
        _check(point, size)
        known = newest.get(point.id)
        if known is None or version_of(known.payload) < version_of(point.payload):
            newest[point.id] = point
    vectors = _plain_numbers(list(newest.values()))
    rows = [PointRow(point.id, dict(point.payload), vectors.get(point.id)) for point in newest.values()]
    return [(version, list(run)) for version, run in groupby(rows, key=lambda row: version_of(row.payload))]


def _plain_numbers(points: Sequence[Point]) -> dict[str, list[float]]:
    """The vectors as lists: one conversion for the whole batch costs half of one for each row."""
    live = {point.id: point.vector for point in points if point.vector is not None}
    return dict(zip(live, np.stack(list(live.values())).tolist(), strict=True)) if live else {}


def version_of(payload: Payload) -> int:
    """The version in a payload; raises ValueError when there is none."""
    version = payload.get("version")
    if not isinstance(version, int) or isinstance(version, bool):
        raise ValueError(f"a payload needs `version`, an integer, not {version!r}")
    return version


def _check(point: Point, size: int) -> None:
    version_of(point.payload)
    state = DEAD if point.vector is None else LIVE
    if point.payload.get("state") != state:
        raise ValueError(
            f"point {point.id} is {state} by its vector, but its `state` is {point.payload.get('state')}"
        )
    if point.vector is None:
        return
    if point.vector.shape != (size,):
        raise ValueError(f"point {point.id} has a vector of shape {point.vector.shape}, this index holds ({size},)")
    if not np.isfinite(point.vector).all() or not point.vector.any():
        raise ValueError(
            f"point {point.id} has a vector with NaN or infinity, or of zeros alone: it cannot be compared"
        )


def with_bytes(tenant: str, checksums: Sequence[str]) -> list[Condition]:
    """What holds of the live points whose pictures have these checksums."""
    return [*live_of(tenant), AnyOf("sha256", tuple(checksums))]


def by_checksum(records: Iterable[EngineRecord]) -> dict[str, Point]:
    """One of the points for each checksum."""
    return {str(point.payload["sha256"]): point for point in points_in(records)}


def points_in(records: Iterable[EngineRecord]) -> list[Point]:
    """Whole points, from records with payload and vector."""
    found = list(records)
    vectors = vectors_in(found)
    return [Point(str(one.id), dict(one.payload or {}), vectors.get(str(one.id))) for one in found]


def vectors_in(records: Iterable[EngineRecord]) -> dict[str, Vector]:
    """The vector of each record that has one, by id."""
    named = {str(record.id): record.vector for record in records}
    return {
        id_: np.asarray(vector[VECTOR], dtype=np.float32)
        for id_, vector in named.items()
        if isinstance(vector, dict) and VECTOR in vector
    }
