"""Rows: convert and validate points for both engines, before a write and after a read."""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Protocol

import numpy as np

from infra.qdrant.conditions import (
    DEAD,
    LIVE,
    META,
    REGION,
    AnyOf,
    Below,
    Between,
    Condition,
    NotAnyOf,
    live_conditions,
)
from infra.qdrant.contract import VECTOR, EncoderDiffers, Patch, Payload, Point, Vector

META_ID = str(uuid.uuid5(uuid.NAMESPACE_URL, "lookstream:collection"))
"""Id of the metadata point, which is not a picture; it stores which encoder made the collection."""

PATCHABLE = AnyOf("state", (LIVE, REGION))
"""Matches the points of live items."""
ITEM_POINTS = NotAnyOf("state", (META,))
"""Matches the points of items, with tombstones, but not the metadata points of the collection."""

CHECKSUM_LIMIT = 256
"""Maximum number of points to fetch in a search by checksum."""
SAMPLE_KEYS = ["item_id", "category", "category_source", "studio"]
"""The payload keys that `sample` returns."""


class EngineRecord(Protocol):
    """A point as returned by an engine; the records of both engines have these attributes."""

    @property
    def id(self) -> object:
        """Point id."""

    @property
    def payload(self) -> dict[str, object] | None:
        """The requested payload keys."""

    @property
    def vector(self) -> object:
        """The requested vectors, by name."""


@dataclass(frozen=True)
class CollectionEncoder:
    """The encoder that made a collection: its fingerprint, and the number of dimensions of its vectors."""

    fingerprint: str
    size: int


@dataclass(frozen=True)
class PointRow:
    """A validated point, with the vector as plain numbers, ready to be written."""

    id: str
    payload: dict[str, object]
    vector: list[float] | None


def older_than(version: int) -> Below:
    """Condition of every write: the stored version is lower than the new one."""
    return Below("version", version)


def patch_conditions(patch: Patch) -> list[Condition]:
    """Conditions for a point to accept a patch; raises ValueError if the patch has no version."""
    return [older_than(version_of(patch.payload)), PATCHABLE]


def tombstone_conditions(before_us: int) -> list[Condition]:
    """Conditions that match tombstones from before this time (microseconds since 1970)."""
    return [AnyOf("state", (DEAD,)), Between("dead_at", below=before_us)]


def group_ids_by_version(versions: Mapping[str, int]) -> dict[int, list[str]]:
    """Group ids by their version."""
    groups: dict[int, list[str]] = {}
    for id_, version in versions.items():
        groups.setdefault(version, []).append(id_)
    return groups


def meta_payload(encoder: CollectionEncoder) -> dict[str, object]:
    """Return the payload of the metadata point, which stores the encoder of the collection."""
    return {"state": META, "fingerprint": encoder.fingerprint, "size": encoder.size}


def encoder_from_payload(stored: Payload) -> CollectionEncoder:
    """Return the encoder of a collection from the payload of its metadata point."""
    size = stored.get("size")
    return CollectionEncoder(str(stored.get("fingerprint")), size if isinstance(size, int) else 0)


def note_id(name: str) -> str:
    """Return the id of the point that stores the note with this name."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"lookstream:note:{name}"))


def note_payload(note: Payload) -> dict[str, object]:
    """Return the payload of a note's point; its state excludes it from all searches."""
    return {"state": META, "note": dict(note)}


def notes_in(records: Sequence[EngineRecord], names: Sequence[str]) -> dict[str, Payload]:
    """Return the notes with these names, by name, from the records of their points."""
    stored = {str(record.id): (record.payload or {}).get("note") for record in records}
    notes = {name: stored.get(note_id(name)) for name in names}
    return {name: note for name, note in notes.items() if isinstance(note, dict)}


def payloads_in(records: Iterable[EngineRecord]) -> dict[str, Payload]:
    """Return the payload of each record, by id, without keys that have no value."""
    return {str(record.id): payload_in(record) for record in records}


def payload_in(record: EngineRecord) -> Payload:
    """Return the payload of a record without keys that have no value."""
    return {key: value for key, value in (record.payload or {}).items() if value is not None}


def check_encoder(stored: CollectionEncoder, expected: CollectionEncoder) -> None:
    """Raise EncoderDiffers unless the collection was made by this encoder."""
    if stored != expected:
        raise EncoderDiffers(
            f"the index was made by encoder {stored.fingerprint} ({stored.size} numbers a vector), this process "
            f"runs {expected.fingerprint} ({expected.size} numbers): use the old encoder (LOOKSTREAM_ENCODER), "
            "another LOOKSTREAM_QDRANT_COLLECTION, or another LOOKSTREAM_DATA folder"
        )


def rows_by_version(points: Sequence[Point], size: int) -> list[tuple[int, list[PointRow]]]:
    """Return the rows to write as runs of equal version, each id once at its newest version.

    A write has a single version condition, hence the runs. Points keep their order; of two points with the same id
    and version, the first wins. Raises ValueError on an invalid point, because engines accept vectors with NaN,
    which then break searches.
    """
    newest: dict[str, Point] = {}
    for point in points:
        _check(point, size)
        previous = newest.get(point.id)
        if previous is None or version_of(previous.payload) < version_of(point.payload):
            newest[point.id] = point
    vectors = _vector_lists(list(newest.values()))
    rows = [PointRow(point.id, dict(point.payload), vectors.get(point.id)) for point in newest.values()]
    return [(version, list(run)) for version, run in groupby(rows, key=lambda row: version_of(row.payload))]


def _vector_lists(points: Sequence[Point]) -> dict[str, list[float]]:
    """Convert vectors to lists by id. One conversion for the whole batch takes half the time of one per row."""
    live = {point.id: point.vector for point in points if point.vector is not None}
    return dict(zip(live, np.stack(list(live.values())).tolist(), strict=True)) if live else {}


def version_of(payload: Payload) -> int:
    """Return the version in a payload; raises ValueError if it is missing or not an integer."""
    version = payload.get("version")
    if not isinstance(version, int) or isinstance(version, bool):
        raise ValueError(f"a payload needs `version`, an integer, not {version!r}")
    return version


def _check(point: Point, size: int) -> None:
    version_of(point.payload)
    states = (DEAD,) if point.vector is None else (LIVE, REGION)
    if point.payload.get("state") not in states:
        raise ValueError(
            f"point {point.id} is {states[0]} by its vector, but its `state` is {point.payload.get('state')}"
        )
    if point.vector is None:
        return
    if point.vector.shape != (size,):
        raise ValueError(f"point {point.id} has a vector of shape {point.vector.shape}, this index holds ({size},)")
    if not np.isfinite(point.vector).all() or not point.vector.any():
        raise ValueError(
            f"point {point.id} has a vector with NaN or infinity, or of zeros alone: it cannot be compared"
        )


def checksum_conditions(tenant: str, checksums: Sequence[str]) -> list[Condition]:
    """Conditions that match live points of a tenant with one of these picture checksums."""
    return [*live_conditions(tenant), AnyOf("sha256", tuple(checksums))]


def by_checksum(records: Iterable[EngineRecord]) -> dict[str, Point]:
    """Return one point for each checksum."""
    return {str(point.payload["sha256"]): point for point in points_in(records)}


def points_in(records: Iterable[EngineRecord]) -> list[Point]:
    """Convert records with payload and vector to points."""
    stored = list(records)
    vectors = vectors_in(stored)
    return [Point(str(record.id), dict(record.payload or {}), vectors.get(str(record.id))) for record in stored]


def vectors_in(records: Iterable[EngineRecord]) -> dict[str, Vector]:
    """Return the vector of each record that has one, by id."""
    vectors = {str(record.id): record.vector for record in records}
    return {
        id_: np.asarray(vector[VECTOR], dtype=np.float32)
        for id_, vector in vectors.items()
        if isinstance(vector, dict) and VECTOR in vector
    }
