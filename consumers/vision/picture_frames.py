"""Picture frames: finds the picture inside the bars, borders and rounded corners that somebody put around it.

A frame and the plain ground of a studio picture look alike at the edge. Two things tell them apart: a frame ends in
straight lines on opposite sides, and what it encloses is a picture, not a rectangular product in one colour.
"""

from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image

from infra.array_types import Doubles, Mask
from infra.images.resize import FINE_SIDE as SIDE
from infra.images.resize import Overview, overview

Levels = NDArray[np.int16]
"""RGB of 0..255."""
Lines = tuple[int, int, int, int]
"""Lines of a frame at the left, top, right and bottom."""

MAX_FRAMES = 6
"""Frames within each other that are cut off, with the strips that remain of some."""
PLAIN_RANGE, GROUND_RANGE = 12, 24
"""Largest differences of a channel within one colour: of a frame, and of the ground of a studio picture."""
MAX_STAIN_SHARE = 0.05
"""Share of a frame that may have other colours: captions and marks."""
MIN_LINE_SHARE = 0.3
"""The inside begins at the first line whose share of other colours is this part of the largest share of a line."""
EVEN_EDGE_SHARES, LIGHT_EDGE_SHARES, UNEVEN_EDGE_SHARES = (0.5, 0.7), (0.8, 0.9), (0.9, 0.95)
"""Minimum shares of other colours along each edge of the inside and along all, for a frame that is even and dark,
even and light, or uneven and dark. One that is light and uneven is a ground: boxes and jeans are as straight."""
MIXED_PIXELS = 3
"""Pixels inside a frame that the coarse chroma of a JPEG mixes with it."""
MIN_INNER_LINES, MIN_INNER_PIXELS = SIDE // 8, 8
MAX_FRAME_LINES, MAX_EVEN_LINES = SIDE * 35 // 100, SIDE * 25 // 100
"""Largest width of a frame on four sides, and of a light one, but for the lower part of an instant photo."""
MIN_GROUND_SHARE = 0.6
"""Minimum share of the edge of the inside in one colour for a plain ground."""
LIGHT_LEVEL, MAX_LIGHT_RANGE = 150, 60
"""Smallest channel, and largest difference of channels, of the usual colours of studio grounds."""
MIN_OBJECT_SHARES = {(False, True): 0.005, (False, False): 0.05, (True, True): 0.05, (True, False): 0.15}
"""Minimum share of what lies on the ground of the inside, by whether the frame and the ground are light.

A light frame around another colour may be the ground around a rectangular product, such as a book."""
MAX_STRIP_LINES = 4
"""Largest width of what remains of a frame inside another one."""
CORNER_LINES = range(2, SIDE * 30 // 100)
"""Radii of rounded corners."""
CORNER_INSET = 1 - 0.5**0.5
"""Share of the radius of rounded corners that is cut off on each side."""


@dataclass(frozen=True, eq=False)
class _Frame:
    """A possible frame of a picture [SIDE, SIDE, 3]: its lines and colour, and the pixels of other colours."""

    pixels: Levels
    content: Mask
    lines: Lines
    is_light: bool
    aspect: float
    """Width / height of the picture before it became a square."""

    @property
    def is_clear(self) -> bool:
        """Whether the frame has nearly no content; its innermost line may be mixed with the inside."""
        outside = self.content.copy()
        left, top, right, bottom = (max(count - 1, 0) for count in self.lines)
        outside[_inside((left, top, right, bottom))] = False
        return bool(outside.sum() <= MAX_STAIN_SHARE * (outside.size - outside[_inside(self.lines)].size))

    @property
    def is_straight(self) -> bool:
        """Whether the content begins along lines that are straight enough for such a frame."""
        inside = self.content[_inside(self.lines)]
        edges = (inside[:, 1], inside[1], inside[:, -2], inside[-2])
        shares = [edge.mean() for edge, count in zip(edges, self.lines, strict=True) if count]
        if self.is_even:
            smallest, mean = LIGHT_EDGE_SHARES if self.is_light else EVEN_EDGE_SHARES
        else:
            smallest, mean = UNEVEN_EDGE_SHARES
        return bool(min(shares) >= smallest and np.mean(shares) >= mean)

    @property
    def is_even(self) -> bool:
        """Whether it has one width on three sides or four, as borders and instant photos, or on two: bars."""
        left, top, right, bottom = self.lines
        widths = sorted((left * self.aspect, top, right * self.aspect, bottom))
        first, last, limit = (0, 2, MAX_EVEN_LINES) if all(self.lines) else (2, 3, SIDE)
        tolerance = 0.2 * widths[first] + 1.5 * max(self.aspect, 1)  # In lines, of which 1.5 are rounding.
        return max(left, top, right) <= limit and widths[last] - widths[first] <= tolerance

    @property
    def has_picture(self) -> bool:
        """Whether the inside is a picture, and not a rectangular product in front of a ground."""
        inside = self.pixels[_inside(self.lines)][2:-2, 2:-2]
        edges = np.concatenate([inside[0], inside[-1], inside[:, 0], inside[:, -1]])
        ground = np.median(edges, axis=0)
        if _differs(edges, ground, GROUND_RANGE).mean() > 1 - MIN_GROUND_SHARE:
            return True  # A photo, or a product with a pattern: its colours are those inside.
        share = _differs(inside, ground, GROUND_RANGE).mean()
        return bool(share >= MIN_OBJECT_SHARES[self.is_light, _is_light(ground)])


def crop_frames(image: Image, reduced: Overview | None = None) -> tuple[Image, Overview]:
    """The part of an RGB picture inside its frames, or the picture itself if it has none; and its overview.

    `reduced` is the overview of the picture, if it is at hand.
    """
    reduced = reduced or overview(image)
    for depth in range(MAX_FRAMES):
        pixels = reduced.fine.astype(np.int16)
        aspect = image.width / image.height
        lines = _frame_lines(pixels, aspect) or _corner_lines(pixels, aspect)
        if lines is None and depth:
            lines = _strip_lines(pixels)
        box = _inner_box(lines, *image.size) if lines else None
        if box is None:
            break
        image = image.crop(box)
        reduced = overview(image)
    return image, reduced


def _inner_box(lines: Lines, width: int, height: int) -> tuple[int, int, int, int] | None:
    """The box inside a frame, in pixels; None if too little would remain.

    The first line inside may be mixed with the frame, so it is cut off too.
    """
    left, top, right, bottom = (
        ceil((count + 1) * side / SIDE) + MIXED_PIXELS if count else 0
        for count, side in zip(lines, (width, height, width, height), strict=True)
    )
    is_large = min(width - left - right, height - top - bottom) >= MIN_INNER_PIXELS
    return (left, top, width - right, height - bottom) if is_large else None


def _frame_lines(pixels: Levels, aspect: float) -> Lines | None:
    """The lines of the outermost frame; None if there is none."""
    for colour in _edge_colours(pixels):
        content = _differs(pixels, np.array(colour), PLAIN_RANGE)
        lines = _margins(content)
        if lines is None:
            continue
        frame = _Frame(pixels, content, lines, _is_light(np.array(colour)), aspect)
        is_border = frame.is_even or not frame.is_light
        if is_border and frame.is_clear and frame.is_straight and frame.has_picture:
            return lines
    return None


def _edge_colours(pixels: Levels) -> set[tuple[float, ...]]:
    """The colours that cover two opposite edges of the picture: none, one or two."""
    colours = set()
    for edges in (pixels[[0, -1]], pixels[:, [0, -1]]):
        colour = np.median(edges.reshape(-1, 3), axis=0)
        if _differs(edges, colour, PLAIN_RANGE).mean() <= MAX_STAIN_SHARE:
            colours.add(tuple(colour.tolist()))
    return colours


def _corner_lines(pixels: Levels, aspect: float) -> Lines | None:
    """The lines to cut off so that rounded corners in one colour are gone; None if there are none."""
    corners = pixels[[0, 0, -1, -1], [0, -1, 0, -1]]
    colour = np.median(corners, axis=0)
    if _differs(corners, colour, PLAIN_RANGE).any():
        return None
    content = _differs(pixels, colour, PLAIN_RANGE)
    across, down = _corner_radius(content[[0, -1]]), _corner_radius(content[:, [0, -1]].T)
    if not across or not down or abs(across * aspect - down) > 0.25 * down + 1.5 * max(aspect, 1):
        return None
    columns, rows = (ceil(radius * CORNER_INSET) for radius in (across, down))
    frame = _Frame(pixels, content, (columns, rows, columns, rows), _is_light(colour), aspect)
    return frame.lines if frame.is_straight and frame.has_picture else None


def _strip_lines(pixels: Levels) -> Lines | None:
    """The lines of thin strips at any edges: what remains of a frame when the one around it was cut off."""
    left, top, right, bottom = (
        _strip_width(edge) for edge in (pixels.swapaxes(0, 1), pixels, pixels[:, ::-1].swapaxes(0, 1), pixels[::-1])
    )
    return (left, top, right, bottom) if left or top or right or bottom else None


def _strip_width(rows: Levels) -> int:
    """The number of first rows in one colour that ends at a straight line; 0 if it is more than MAX_STRIP_LINES."""
    colour = np.median(rows[0], axis=0)
    shares = _differs(rows[: MAX_STRIP_LINES + 1], colour, PLAIN_RANGE).mean(1)
    widths = np.flatnonzero(shares >= LIGHT_EDGE_SHARES[1])
    return int(widths[0]) if len(widths) and shares[0] <= MAX_STAIN_SHARE else 0


def _corner_radius(edges: Mask) -> int:
    """The radius of the corners at the ends of two opposite edges [2, SIDE]; 0 if they are not equal or none."""
    ends = np.concatenate([edges.argmax(1), edges[:, ::-1].argmax(1)])
    radius = int(ends.max())
    is_equal = int(ends.min()) in CORNER_LINES and radius in CORNER_LINES and np.ptp(ends) <= 1 + 0.25 * radius
    return radius if is_equal and edges[:, radius : SIDE - radius].mean() >= 1 - MAX_STAIN_SHARE else 0


def _margins(content: Mask) -> Lines | None:
    """The lines without content at each edge; None unless they lie at both of opposite edges, or at all."""
    (left, right), (top, bottom) = (_margin_pair(content.mean(axis)) for axis in (0, 1))
    if (left > 0) != (right > 0) or (top > 0) != (bottom > 0) or left + top == 0:
        return None
    is_inside_large = min(SIDE - left - right, SIDE - top - bottom) >= MIN_INNER_LINES
    is_wide = left > 0 and top > 0 and max(left, top, right, bottom) > MAX_FRAME_LINES
    return (left, top, right, bottom) if is_inside_large and not is_wide else None


def _margin_pair(shares: Doubles) -> tuple[int, int]:
    (inside,) = np.nonzero(shares >= MIN_LINE_SHARE * shares.max())
    return int(inside[0]), SIDE - 1 - int(inside[-1])


def _inside(lines: Lines) -> tuple[slice, slice]:
    """The rows and columns inside a frame."""
    left, top, right, bottom = lines
    return slice(top, SIDE - bottom), slice(left, SIDE - right)


def _differs(pixels: Levels, colour: Doubles, tolerance: int) -> Mask:
    mask: Mask = np.any(np.abs(pixels - colour) > tolerance, axis=-1)
    return mask


def _is_light(colour: Doubles) -> bool:
    return bool(colour.min() >= LIGHT_LEVEL and np.ptp(colour) <= MAX_LIGHT_RANGE)
