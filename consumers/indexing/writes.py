"""Index writes: determine what an item update changes in the index, and write it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from consumers.indexing.images import EmbeddedImage, ImageStatus
from consumers.indexing.item_update import ItemUpdate
from consumers.points.look_payload import look_payload
from consumers.points.payload import (
    DUPLICATE_GROUP,
    NOTIFIED_WATCHES,
    STATE_KEYS,
    as_int,
    image_source,
    provenance,
)
from infra.qdrant.contract import Index, Patch, Payload, Point
from infra.qdrant.point_ids import IMAGE_NUMBER, IMAGE_REFERENCE
from schemas.items import ItemUpserted, revision_at

MAIN = 0
"""The number of the main picture: its point is written last, so that the others exist by then."""


@dataclass
class WriteSet:
    """The writes for one item, by picture number; empty if the index is up to date already."""

    update: ItemUpdate
    points: dict[int, Point] = field(default_factory=dict)
    patches: dict[int, Patch] = field(default_factory=dict)
    removals: dict[str, int] = field(default_factory=dict)

    @property
    def ids(self) -> list[str]:
        """The ids of the points that change."""
        points = [point.id for point in self.points.values()]
        return points + [patch.id for patch in self.patches.values()] + list(self.removals)

    def is_applied(self, stored: Mapping[str, Payload]) -> bool:
        """Whether the index now holds the writes; if not, another writer has written the item in between."""
        expected = provenance(self.update.state.payload())
        removed = self.removals.keys().isdisjoint(stored)
        return removed and all(
            provenance(stored.get(id, {})) == expected for id in self.ids if id not in self.removals
        )


def diff(update: ItemUpdate, encoder: str, now: datetime) -> WriteSet:
    """The writes for an update that is ready to be written.

    `encoder` is the fingerprint of the encoder of the looks; `now` is the deletion time of new tombstones.
    """
    writes, state = WriteSet(update), update.state
    if state.base == 0:
        return writes
    version = update.stored.version + 1
    payloads = _target_payloads(update)
    for n, payload in payloads.items():
        image = update.images[n] if n < len(update.images) else None
        changed = _payload_changes(update.stored.points.get(n, {}), payload)
        if isinstance(image, EmbeddedImage):
            look = {"encoder": encoder, "sha256": image.sha256, **look_payload(image.look)}
            writes.points[n] = _point(update, n, payload | look | {"version": version}, image)
        elif changed and state.live:
            writes.patches[n] = Patch(update.item.ids[n], changed | {"version": version})
        elif changed:
            writes.points[n] = _point(update, n, payload | {"version": version, "dead_at": revision_at(now)}, None)
    # A point of a newer upsert than the item's belongs to another writer, who is about to write the main point.
    removable = (n for n, point in update.stored.points.items() if as_int(point.get("base", 0)) <= state.base)
    writes.removals.update({update.item.ids[n]: version for n in removable if n not in payloads})
    return writes


def write(index: Index, write_sets: Sequence[WriteSet]) -> None:
    """Write the changes of many items in as few calls as possible, with the main points last."""
    points = [(n, point) for each in write_sets for n, point in each.points.items()]
    patches = [(n, patch) for each in write_sets for n, patch in each.patches.items()]
    others = _by_version(point for n, point in points if n != MAIN)
    mains = _by_version(point for n, point in points if n == MAIN)
    if first := others if patches else others + mains:
        index.upsert(first)
    if patches:
        index.patch([patch for _, patch in sorted(patches, key=lambda each: each[0] == MAIN)])
    if patches and mains:
        index.upsert(mains)
    if removals := {id: version for each in write_sets for id, version in each.removals.items()}:
        index.remove(removals)


def _target_payloads(update: ItemUpdate) -> dict[int, dict[str, object]]:
    """The payload that each point of an item must have, apart from its look, by picture number."""
    state, base = update.state, update.merged.base_change
    payload = state.payload() | ({"source": base.body.source} if base else {})
    if not state.live:
        return {MAIN: payload}
    payload[DUPLICATE_GROUP] = update.group
    if update.item.notified_watches:
        payload[NOTIFIED_WATCHES] = list(update.item.notified_watches)
    if base and isinstance(base.body, ItemUpserted):
        refs = base.body.images
        return {
            n: payload | {IMAGE_REFERENCE: image_source(refs[n])}
            for n, image in enumerate(update.images)
            if image is ImageStatus.UNCHANGED or isinstance(image, EmbeddedImage)
        }
    return {n: payload for n, point in update.stored.points.items() if point.get("base") == state.base}


def _payload_changes(current: Payload, target: Payload) -> dict[str, object]:
    """The keys that a point has to set, or to remove (value None)."""
    changed = {key: value for key, value in target.items() if current.get(key) != value}
    return changed | {key: None for key in STATE_KEYS if key in current and key not in target}


def _point(update: ItemUpdate, n: int, payload: Payload, image: EmbeddedImage | None) -> Point:
    """A whole point to write; without a look it is a tombstone."""
    item = update.item
    identity = {"item": item.key, "item_id": item.item_id, "tenant": item.tenant}
    known = {key: value for key, value in payload.items() if value is not None}
    return Point(item.ids[n], {**identity, IMAGE_NUMBER: n, **known}, image.look.vector if image else None)


def _by_version(points: Iterable[Point]) -> list[Point]:
    """The points sorted by version, since the index writes consecutive points of one version together."""
    return sorted(points, key=lambda point: as_int(point.payload["version"]))
