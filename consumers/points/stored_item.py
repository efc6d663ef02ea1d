"""Stored items: read the points that the index has of items, and the regions of their pictures."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from consumers.points.look_payload import REGION_KEYS, region_of
from consumers.points.payload import KNOWN_KEYS, REGION_COUNT, REGION_METHOD, ItemState, as_int, state_of
from consumers.vision.look import RegionLook
from infra.qdrant.contract import Index, Payload, Point, Vector
from infra.qdrant.point_ids import MAX_POINTS, image_number, numbered_id, region_numbers
from schemas.items import MAX_IMAGES

Points = Mapping[int, Payload]
"""The payloads of an item's points in the index, by point number."""


MAX_LOOK_NORM = 2.0
"""Upper bound of the norm of a look, which has three parts of unit length. A norm of NaN is not below it either."""


class PointIds(Protocol):
    """What knows the ids of an item's points."""

    def point_id(self, number: int, /) -> str:
        """The id of the point with this number."""


@dataclass(frozen=True)
class StoredState:
    """An item as the index holds it. The main point is authoritative; the others follow it."""

    points: Points = field(default_factory=dict)

    @property
    def main(self) -> Payload:
        """The payload of the main point; empty if there is none."""
        return self.points.get(0, {})

    @property
    def state(self) -> ItemState:
        """The state in the main point."""
        return state_of(self.main)

    @property
    def version(self) -> int:
        """The highest version of its points; 0 if there are none."""
        return max((as_int(point.get("version", 0)) for point in self.points.values()), default=0)


def region_count(picture: Payload) -> int:
    """The number of regions that belong to the point of a picture."""
    return as_int(picture.get(REGION_COUNT, 0))


def read_states(index: Index, items: Sequence[PointIds], has_regions: Sequence[bool]) -> list[StoredState]:
    """The stored states of items: all points are read, so that incomplete writes are repaired.

    `has_regions` says of each item whether there may be regions of which no picture says so. The regions of most
    items are not read: there are none. An item whose pictures have some is read again as a whole: if its regions
    alone were read, another writer could have changed all of its points in between.
    """
    of_all = [range(MAX_POINTS if each else MAX_IMAGES) for each in has_regions]
    states = _read_points(index, items, of_all)
    again = [
        range(MAX_POINTS if len(numbers) < MAX_POINTS and any(map(region_count, state.points.values())) else 0)
        for numbers, state in zip(of_all, states, strict=True)
    ]
    if not any(again):
        return states
    whole = _read_points(index, items, again)
    return [new if numbers else state for numbers, state, new in zip(again, states, whole, strict=True)]


def _read_points(index: Index, items: Sequence[PointIds], numbers: Sequence[range]) -> list[StoredState]:
    """The stored points of items with these numbers."""
    ids = [{n: item.point_id(n) for n in of_item} for item, of_item in zip(items, numbers, strict=True)]
    stored = index.payloads([id for of_item in ids for id in of_item.values()], KNOWN_KEYS)
    return [StoredState({n: stored[id] for n, id in of_item.items() if id in stored}) for of_item in ids]


def is_sound(vector: Vector | None) -> bool:
    """Whether the look of a point can be reused; one that a broken disk has changed is computed again."""
    return vector is not None and bool(np.linalg.norm(vector.astype(np.float64)) <= MAX_LOOK_NORM)


def has_regions(points: Points, image: int, method: str) -> bool:
    """Whether the stored regions of a picture were found by this method, and belong to the stored bytes.

    With an empty method none are needed. After a broken write, regions may be missing, or be of other bytes.
    """
    picture = points[image]
    if not method:
        return True
    regions = [points.get(number, {}) for number in region_numbers(image)[: region_count(picture)]]
    keys = ("sha256", "encoder")
    return picture.get(REGION_METHOD) == method and all(
        region.get(key) == picture.get(key) for region in regions for key in keys
    )


class RegionReader:
    """Reads the regions of pictures in the index, in two calls for all."""

    def __init__(self, index: Index, pictures: Iterable[Point]) -> None:
        """Read the regions of these points. Raises Unavailable."""
        self._ids = {picture.id: _region_ids(picture.payload) for picture in pictures}
        ids = [id for region_ids in self._ids.values() for id in region_ids]
        self._payloads = index.payloads(ids, (*REGION_KEYS, "sha256", "encoder")) if ids else {}
        self._vectors = index.vectors(ids) if ids else {}

    def find(self, picture: Point, method: str) -> tuple[RegionLook, ...] | None:
        """The regions of a picture; None if they were not found by this method, or are not all there.

        With an empty method there are none.
        """
        ids = self._ids[picture.id]
        points = {number: self._payloads.get(id, {}) for number, id in zip(region_numbers(0), ids, strict=False)}
        if not method:
            return ()
        is_whole = has_regions({0: picture.payload, **points}, 0, method)
        if not is_whole or not all(is_sound(self._vectors.get(id)) for id in ids):
            return None
        regions = [region_of(self._payloads[id], self._vectors[id]) for id in ids]
        return tuple(region for region in regions if region is not None)


def _region_ids(picture: Payload) -> list[str]:
    numbers = region_numbers(image_number(picture))[: region_count(picture)]
    return [numbered_id(str(picture["tenant"]), str(picture["item_id"]), number) for number in numbers]
