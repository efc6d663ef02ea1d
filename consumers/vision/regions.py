"""Regions: chooses the things in a picture that are searched by too, and cuts them out."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from PIL.Image import Image
from PIL.Image import new as new_image

from infra.array_types import Box
from infra.images.resize import FINE_SIDE, Overview
from schemas.items import MAX_REGIONS, Objects
from schemas.searches import Crop

MIN_SIDE = 24
"""Shorter side in pixels below which a box says too little of its thing."""
MIN_OBJECTNESS: dict[Objects, float] = {"none": 1.0, "auto": 0.55, "all": 0.3}
"""Objectness from which a box is a region."""
PART_SHARE = 0.9
"""Share of the smaller of two boxes, inside the other, from which the less certain one is a part of that thing."""
MIN_THINGS, WHOLE_SHARE = 2, 0.45
"""With `auto` the whole is enough for fewer things, or if a thing has this share of the picture.

With these and MIN_OBJECTNESS it answers for the whole of .99 of 341 photos of a garment and .98 of 296 photos of
groceries, and regions cover .91 of 300 things of composites, .80 of 296 where two of three are partly hidden."""
MIN_DIFFERENCE, MAX_GAP, MIN_PART_SHARE = 24, 4, 0.01
"""On a plain ground, pixels of a thing differ from it by this much of 255 in a channel; parts with a gap of so many
pixels of the overview are of one thing; and smaller parts of the overview are none.

The detector takes parts of drawn things for things: of 60 drawn studio pictures `auto` would answer for the whole
of 26, with this for all."""


@dataclass(frozen=True)
class Region:
    """A thing in a picture: its box in pixels, and how surely it is a whole thing, 0 to 1."""

    box: Box
    objectness: float

    @property
    def shorter_side(self) -> float:
        """Pixels."""
        left, top, right, bottom = self.box
        return min(right - left, bottom - top)

    @property
    def area(self) -> float:
        """Square pixels."""
        left, top, right, bottom = self.box
        return max(right - left, 0.0) * max(bottom - top, 0.0)

    def is_part_of(self, other: "Region") -> bool:
        """Whether most of one of the two lies in the other one."""
        (left, top, right, bottom), (left2, top2, right2, bottom2) = self.box, other.box
        shared = Region((max(left, left2), max(top, top2), min(right, right2), min(bottom, bottom2)), 0.0).area
        return shared >= PART_SHARE * min(self.area, other.area)

    def crop(self, size: tuple[int, int]) -> Crop:
        """Return the box as shares of a picture of this width and height."""
        left, top, right, bottom = self.box
        x, y = left / size[0], top / size[1]
        return Crop(x=x, y=y, w=min(right / size[0], 1.0) - x, h=min(bottom / size[1], 1.0) - y)


def choose_regions(
    size: tuple[int, int], detections: Sequence[tuple[Box, float]], objects: Objects
) -> list[Region]:
    """Choose the regions of a picture of this width and height among the boxes that a detector found.

    There are none if the whole is enough.
    """
    likely = [Region(_clip(box, size), min(s, 1.0)) for box, s in detections if s >= MIN_OBJECTNESS[objects]]
    regions = list[Region]()
    for region in likely:
        if region.shorter_side >= MIN_SIDE and not any(region.is_part_of(other) for other in regions):
            regions.append(region)
    if objects == "all":
        return regions[:MAX_REGIONS]
    is_whole = any(region.area >= WHOLE_SHARE * size[0] * size[1] for region in regions)
    return [] if is_whole or len(regions) < MIN_THINGS else regions[:MAX_REGIONS]


def _clip(box: Box, size: tuple[int, int]) -> Box:
    left, top, right, bottom = (min(max(edge, 0.0), float(side)) for edge, side in zip(box, size * 2, strict=True))
    return left, top, right, bottom


def cut_out(image: Image, box: Box) -> Image:
    """Return the part of an RGB picture in a box, in the middle of a white square.

    The encoder reads the middle square of its input, of which no end of a long thing may be cut off, and white is
    the ground of most catalogues. Of 150 things of composites .90 are so among the first five of 1,557 studio
    pictures (with a margin of a fifth), with the photo around the box .84, squeezed .87. Of 110 photos of clothes,
    by a box of the garment, .71 find one of their kind first among photos, and .67 with the photo around the box.
    """
    part = image.crop(box)
    square = new_image("RGB", (max(part.size),) * 2, "white")
    square.paste(part, ((square.width - part.width) // 2, (square.height - part.height) // 2))
    return square


def shows_one_thing(reduced: Overview) -> bool:
    """Whether the overview of a picture with a plain border has one connected thing: then the whole is enough."""
    pixels = reduced.fine.astype(np.int16)
    border = np.concatenate([pixels[0], pixels[-1], pixels[1:-1, 0], pixels[1:-1, -1]])
    mask = (np.abs(pixels - np.median(border, axis=0)).max(2) > MIN_DIFFERENCE).astype(np.uint8)
    joined = cv2.dilate(mask, np.ones((MAX_GAP + 1, MAX_GAP + 1), np.uint8))
    _, _, parts, _ = cv2.connectedComponentsWithStats(joined)
    return int((parts[1:, cv2.CC_STAT_AREA] >= MIN_PART_SHARE * FINE_SIDE**2).sum()) <= 1
