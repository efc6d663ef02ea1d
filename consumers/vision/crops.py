"""Where to look in a picture: all of it, and for photos its middle once more.

A studio picture (a product on a plain ground) is looked at once. A photo is looked at twice, whole and its middle,
since in a photo the thing that is meant stands in the middle of others.
"""

from dataclasses import dataclass

import numpy as np
from PIL.Image import Image, Resampling

from consumers.vision.cielab import to_lab

Box = tuple[float, float, float, float]
"""Left, top, right and bottom of a part of a picture, in its pixels."""

SIDE = 64
"""Pixels of the square on which the border is judged."""
LIKE = 3.0
"""CIE76 distance within which a border pixel has the border's own colour."""
UNIFORM = 0.5
"""Share of such pixels from which a border is a studio's plain ground: all of 81 studio pictures and 99 % of 500
catalogue pictures have it, none of 796 shop photos and 2 % of 500 photos of clothes."""
MIDDLE = 0.7
"""Sides of a photo's second view, as shares of the first's; beat a box round what activates the network."""


@dataclass(frozen=True)
class FocusCrop:
    """The parts of a picture to look at, the widest first."""

    studio: bool
    boxes: tuple[Box, ...]


def focus_on(image: Image) -> FocusCrop:
    """Where to look in an upright RGB picture."""
    whole = (0.0, 0.0, float(image.width), float(image.height))
    if is_studio(image):
        return FocusCrop(studio=True, boxes=(whole,))
    return FocusCrop(studio=False, boxes=(whole, middle_of(image)))


def is_studio(image: Image) -> bool:
    """Whether the picture's border has one colour, as a studio's has."""
    rgb = np.asarray(image.resize((SIDE, SIDE), Resampling.BOX, reducing_gap=2.0))
    border = to_lab(np.concatenate([rgb[0], rgb[-1], rgb[1:-1, 0], rgb[1:-1, -1]]))
    distance = np.linalg.norm(border - np.median(border, axis=0), axis=1)
    return bool(np.mean(distance < LIKE) >= UNIFORM)


def middle_of(image: Image) -> Box:
    """The box in the middle whose sides are MIDDLE of the picture's."""
    left, top = image.width * (1 - MIDDLE) / 2, image.height * (1 - MIDDLE) / 2
    return left, top, image.width - left, image.height - top
