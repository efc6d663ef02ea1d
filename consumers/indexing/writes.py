"""Index writes: determine what an item update changes in the index, and write it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from consumers.indexing.images import EmbeddedImage, ImageStatus
from consumers.indexing.item_update import ItemUpdate
from consumers.points.look_payload import look_payload, region_payload
from consumers.points.payload import (
    DUPLICATE_GROUP,
    NOTIFIED_WATCHES,
    OBJECTS,
    REGION_COUNT,
    REGION_METHOD,
    STATE_KEYS,
    as_int,
    image_source,
    provenance,
)
from consumers.points.stored_item import region_count
from consumers.vision.look import Look
from infra.qdrant.conditions import REGION
from infra.qdrant.contract import Index, Patch, Payload, Point
from infra.qdrant.point_ids import (
    IMAGE_NUMBER,
    IMAGE_REFERENCE,
    REGION_IMAGE,
    image_of,
    is_region,
    region_index,
    region_numbers,
)
from schemas.items import MAX_IMAGES, ItemUpserted, revision_at

MAIN = 0
"""The number of the main picture: its point is written last, so that the others exist by then."""


@dataclass
class WriteSet:
    """The writes for one item, by point number; empty if the index is up to date already."""

    update: ItemUpdate
    points: dict[int, Point] = field(default_factory=dict)
    patches: dict[int, Patch] = field(default_factory=dict)
    removals: dict[int, int] = field(default_factory=dict)
    """The versions below which points are removed."""

    @property
    def ids(self) -> list[str]:
        """The ids of the points that change."""
        points = [point.id for point in self.points.values()]
        return (
            points
            + [patch.id for patch in self.patches.values()]
            + list(map(self.update.item.point_id, self.removals))
        )

    def is_applied(self, stored: Mapping[str, Payload]) -> bool:
        """Whether the index now holds the writes; if not, another writer has written the item in between."""
        payload = self.update.state.payload()
        removed = stored.keys().isdisjoint(map(self.update.item.point_id, self.removals))
        return removed and all(
            provenance(stored.get(self.update.item.point_id(n), {})) == provenance(_numbered(n, payload))
            for n in (*self.points, *self.patches)
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
        image = update.images[image_of(n)] if image_of(n) < len(update.images) else None
        changed = _payload_changes(update.stored.points.get(n, {}), payload)
        if isinstance(image, EmbeddedImage):
            look = {"encoder": encoder, "sha256": image.sha256, **_look_payload(n, image.look)}
            writes.points[n] = _point(update, n, payload | look | {"version": version}, image)
        elif changed and state.live:
            writes.patches[n] = Patch(update.item.point_id(n), changed | {"version": version})
        elif changed:
            writes.points[n] = _point(update, n, payload | {"version": version, "dead_at": revision_at(now)}, None)
    # A point of a newer upsert than the item's belongs to another writer, who is about to write the main point.
    removable = (n for n, point in update.stored.points.items() if as_int(point.get("base", 0)) <= state.base)
    writes.removals.update({n: version for n in removable if n not in payloads})
    return writes


def write(index: Index, write_sets: Sequence[WriteSet]) -> None:
    """Write the changes of many items in as few calls as possible: regions first, and the main points last.

    Regions are removed before all else. Afterwards the points of their pictures do not name them, so that after a
    write that breaks off, nobody would read them, and remove them.
    """
    if regions := _removals(write_sets, of_regions=True):
        index.remove(regions)
    points = [(n, point) for each in write_sets for n, point in each.points.items()]
    patches = [(n, patch) for each in write_sets for n, patch in each.patches.items()]
    others = _by_version(
        [point for n, point in points if is_region(n)] + [p for n, p in points if 0 < n < MAX_IMAGES]
    )
    mains = _by_version(point for n, point in points if n == MAIN)
    if first := others if patches else others + mains:
        index.upsert(first)
    if patches:
        index.patch([patch for _, patch in sorted(patches, key=lambda each: each[0] == MAIN)])
    if patches and mains:
        index.upsert(mains)
    if pictures := _removals(write_sets, of_regions=False):
        index.remove(pictures)


def _removals(write_sets: Sequence[WriteSet], *, of_regions: bool) -> dict[str, int]:
    """The versions below which points of regions, or of pictures, are removed, by point id."""
    return {
        each.update.item.point_id(n): version
        for each in write_sets
        for n, version in each.removals.items()
        if is_region(n) == of_regions
    }


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
        return {
            n: target
            for at in range(len(update.images))
            for n, target in _image_targets(update, base.body, at, payload)
        }
    current = (n for n, point in update.stored.points.items() if point.get("base") == state.base)
    return {n: _numbered(n, payload) for n in current}


def _image_targets(
    update: ItemUpdate, body: ItemUpserted, image: int, payload: Mapping[str, object]
) -> Iterator[tuple[int, dict[str, object]]]:
    """The payloads of the points of a picture and of its regions, by point number; none if it is not indexed."""
    result = update.images[image]
    if isinstance(result, EmbeddedImage):
        count = len(result.look.regions)
    elif result is ImageStatus.UNCHANGED:
        count = region_count(update.stored.points[image]) if update.region_method else 0
    else:
        return
    own: dict[str, object] = {IMAGE_REFERENCE: image_source(body.images[image]), OBJECTS: body.objects}
    own |= {REGION_METHOD: update.region_method or None, REGION_COUNT: count or None}
    yield image, {**payload, **own}
    yield from ((n, _numbered(n, payload)) for n in region_numbers(image)[:count])


def _numbered(n: int, payload: Mapping[str, object]) -> dict[str, object]:
    """The payload of an item's state, as the point with this number has it."""
    return {**payload, "state": REGION} if is_region(n) else dict(payload)


def _payload_changes(current: Payload, target: Payload) -> dict[str, object]:
    """The keys that a point has to set, or to remove (value None)."""
    changed = {key: value for key, value in target.items() if current.get(key) != value}
    return changed | {key: None for key in STATE_KEYS if key in current and key not in target}


def _point(update: ItemUpdate, n: int, payload: Payload, image: EmbeddedImage | None) -> Point:
    """A whole point to write; without a look it is a tombstone."""
    item = update.item
    identity = {"item": item.key, "item_id": item.item_id, "tenant": item.tenant}
    place = {REGION_IMAGE: image_of(n)} if is_region(n) else {IMAGE_NUMBER: n}
    known = {key: value for key, value in payload.items() if value is not None}
    look = _look_of(n, image.look) if image else None
    return Point(item.point_id(n), {**identity, **place, **known}, look.vector if look else None)


def _look_of(n: int, look: Look) -> Look:
    """The look of the point with this number: that of the picture, or of its region."""
    return look.regions[region_index(n)].look if is_region(n) else look


def _look_payload(n: int, look: Look) -> dict[str, object]:
    return region_payload(look, region_index(n)) if is_region(n) else look_payload(look)


def _by_version(points: Iterable[Point]) -> list[Point]:
    """The points sorted by version, since the index writes consecutive points of one version together."""
    return sorted(points, key=lambda point: as_int(point.payload["version"]))
