"""Stored regions: find out which things of a picture the index has already, and read them."""

from collections.abc import Iterable, Mapping

import numpy as np

from consumers.points.look_payload import REGION_KEYS, region_of
from consumers.points.payload import REGION_COUNT, REGION_METHOD, as_int
from consumers.vision.embedder import RegionLook
from infra.qdrant.contract import Index, Payload, Point, Vector
from infra.qdrant.point_ids import image_number, numbered_id, region_numbers

Points = Mapping[int, Payload]
"""The payloads of an item's points in the index, by point number."""


MAX_LOOK_NORM = 2.0
"""Upper bound of the norm of a look, which has three parts of unit length. A norm of NaN is not below it either."""


def is_sound(vector: Vector | None) -> bool:
    """Whether the look of a point can be reused; one that a broken disk has changed is computed again."""
    return vector is not None and bool(np.linalg.norm(vector.astype(np.float64)) <= MAX_LOOK_NORM)


def region_count(picture: Payload) -> int:
    """The number of regions that belong to the point of a picture."""
    return as_int(picture.get(REGION_COUNT, 0))


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
