"""Changes: what has to be written so that the index holds what an entry says, and how it is written."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from consumers.indexing.images import EmbeddedImage, ImageStatus
from consumers.indexing.item_update import ItemUpdate
from consumers.points.payload import DUPLICATE_GROUP, STATE_KEYS, TOLD, look_payload, marks, where, whole
from infra.qdrant.contract import Index, Patch, Payload, Point
from schemas.items import ItemUpserted, item_key, revision_at

MAIN = 0
"""The main picture: its point is written last, so that the others are there when it is."""


@dataclass
class WriteSet:
    """What to write for one item, by picture; nothing when the index holds it already."""

    entry: ItemUpdate
    points: dict[int, Point] = field(default_factory=dict)
    patches: dict[int, Patch] = field(default_factory=dict)
    removals: dict[str, int] = field(default_factory=dict)

    @property
    def ids(self) -> list[str]:
        """The points that change."""
        points = [point.id for point in self.points.values()]
        return points + [patch.id for patch in self.patches.values()] + list(self.removals)

    def were_made(self, stored: Mapping[str, Payload]) -> bool:
        """Whether the index now holds them; if not, somebody else has written the item in between."""
        wanted = marks(self.entry.state.payload())
        gone = self.removals.keys().isdisjoint(stored)
        return gone and all(marks(stored.get(id, {})) == wanted for id in self.ids if id not in self.removals)


def diff(entry: ItemUpdate, encoder: str, now: datetime) -> WriteSet:
    """What to write for an entry that is ready.

    `encoder` is the fingerprint of whoever made the looks; items that are deleted have died `now`.
    """
    changes, state = WriteSet(entry), entry.state
    if state.base == 0:
        return changes
    version = entry.known.version + 1
    wanted = _wanted(entry)
    for n, payload in wanted.items():
        picture = entry.pictures[n] if n < len(entry.pictures) else None
        changed = _difference(entry.known.points.get(n, {}), payload)
        if isinstance(picture, EmbeddedImage):
            seen = {"encoder": encoder, "sha256": picture.sha256, **look_payload(picture.look)}
            changes.points[n] = _point(entry, n, payload | seen | {"version": version}, picture)
        elif changed and state.live:
            changes.patches[n] = Patch(entry.ids[n], changed | {"version": version})
        elif changed:
            changes.points[n] = _point(entry, n, payload | {"version": version, "dead_at": revision_at(now)}, None)
    # A point of a newer upsert than the item's own belongs to somebody who is about to write the main point.
    surplus = (n for n, point in entry.known.points.items() if whole(point.get("base", 0)) <= state.base)
    changes.removals = {entry.ids[n]: version for n in surplus if n not in wanted}
    return changes


def write(index: Index, changes: Sequence[WriteSet]) -> None:
    """Write the changes of many items, in as few calls as keep the main points last."""
    points = [(n, point) for each in changes for n, point in each.points.items()]
    patches = [(n, patch) for each in changes for n, patch in each.patches.items()]
    others = _together(point for n, point in points if n != MAIN)
    mains = _together(point for n, point in points if n == MAIN)
    if first := others if patches else others + mains:
        index.upsert(first)
    if patches:
        index.patch([patch for _, patch in sorted(patches, key=lambda each: each[0] == MAIN)])
    if patches and mains:
        index.upsert(mains)
    if removals := {id: version for each in changes for id, version in each.removals.items()}:
        index.remove(removals)


def _wanted(entry: ItemUpdate) -> dict[int, dict[str, object]]:
    """What the points of an item must say of it, by picture."""
    state, base = entry.state, entry.folded.base
    said = state.payload() | ({"source": base.body.source} if base else {})
    if not state.live:
        return {MAIN: said}
    said[DUPLICATE_GROUP] = entry.group
    if entry.told:
        said[TOLD] = list(entry.told)
    if base and isinstance(base.body, ItemUpserted):
        images = base.body.images
        there = (n for n, p in enumerate(entry.pictures) if p is ImageStatus.KEPT or isinstance(p, EmbeddedImage))
        return {n: said | {"image": where(images[n])} for n in there}
    return {n: said for n, point in entry.known.points.items() if point.get("base") == state.base}


def _difference(point: Payload, wanted: Payload) -> dict[str, object]:
    """The keys that a point has to get, or to lose."""
    changed = {key: value for key, value in wanted.items() if point.get(key) != value}
    return changed | {key: None for key in STATE_KEYS if key in point and key not in wanted}


def _point(entry: ItemUpdate, n: int, payload: Payload, looked: EmbeddedImage | None) -> Point:
    """A point to be written whole; without a look it is a tombstone."""
    whose = {"item": item_key(entry.tenant, entry.item_id), "item_id": entry.item_id, "tenant": entry.tenant}
    known = {key: value for key, value in payload.items() if value is not None}
    return Point(entry.ids[n], {**whose, "n": n, **known}, looked.look.vector if looked else None)


def _together(points: Iterable[Point]) -> list[Point]:
    """Those of one version one after the other, since the index writes them together."""
    return sorted(points, key=lambda point: whole(point.payload["version"]))
