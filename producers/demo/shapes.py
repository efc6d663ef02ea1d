"""Shapes: draw outlines, in units of a 100 x 100 sheet, as stencils (grey pictures of 960 x 960 pixels).

A stencil is white (255) inside the shape. Shapes are drawn at twice the final size, so that
downsampling gives smooth edges.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw

SIZE = 480
"""Side of a drawing in pixels."""

STENCIL = 2 * SIZE
UNIT = STENCIL / 100

Stencil = Image.Image
Vertex = tuple[float, float]
Outline = Sequence[Vertex]


CORNER_CUTS = 4


def ring(points: Outline) -> list[Vertex]:
    """A smooth closed outline through the midpoints of the edges; a point that is given twice stays a corner.

    Source: Chaikin's corner cutting, whose limit is the quadratic B-spline of the points.
    """
    line = np.asarray(points, dtype=np.float64)
    for _ in range(CORNER_CUTS):
        line = _cut_corners(line, np.roll(line, -1, axis=0))
    return [(float(x), float(y)) for x, y in line]


def curve(points: Outline) -> list[Vertex]:
    """A smooth open line from the first to the last point; `ring` is the closed form."""
    line = np.asarray(points, dtype=np.float64)
    for _ in range(CORNER_CUTS):
        line = np.concatenate([line[:1], _cut_corners(line[:-1], line[1:]), line[-1:]])
    return [(float(x), float(y)) for x, y in line]


def _cut_corners(starts: NDArray[np.float64], ends: NDArray[np.float64]) -> NDArray[np.float64]:
    """Replace each edge by its middle half, which gives two points for each edge."""
    return np.stack([0.75 * starts + 0.25 * ends, 0.25 * starts + 0.75 * ends], axis=1).reshape(-1, 2)


def mirrored(left: Outline) -> list[Vertex]:
    """The outline of a symmetric object from its left half, which is given from top to bottom."""
    return [*left, *((100 - x, y) for x, y in reversed(left))]


def _blank() -> tuple[Stencil, ImageDraw.ImageDraw]:
    stencil = Image.new("L", (STENCIL, STENCIL))
    return stencil, ImageDraw.Draw(stencil)


def _to_pixels(points: Outline) -> list[Vertex]:
    return [(x * UNIT, y * UNIT) for x, y in points]


def blob(points: Outline) -> Stencil:
    """A filled shape with a smooth outline; a point that is given twice is a corner."""
    return polygon(ring(points))


def polygon(points: Outline) -> Stencil:
    """A filled shape with straight edges."""
    stencil, draw = _blank()
    draw.polygon(_to_pixels(points), fill=255)
    return stencil


def ellipse(x: float, y: float, rx: float, ry: float) -> Stencil:
    """A filled ellipse around x, y."""
    stencil, draw = _blank()
    draw.ellipse([(x - rx) * UNIT, (y - ry) * UNIT, (x + rx) * UNIT, (y + ry) * UNIT], fill=255)
    return stencil


def box(left: float, top: float, right: float, bottom: float, corner: float = 0) -> Stencil:
    """A filled rectangle with rounded corners."""
    stencil, draw = _blank()
    draw.rounded_rectangle([left * UNIT, top * UNIT, right * UNIT, bottom * UNIT], corner * UNIT, fill=255)
    return stencil


def stroke(points: Outline, width: float) -> Stencil:
    """A smooth line of this width with round ends."""
    stencil, draw = _blank()
    line = _to_pixels(curve(points))
    draw.line(line, fill=255, width=max(1, round(width * UNIT)), joint="curve")
    half = width * UNIT / 2
    for x, y in (line[0], line[-1]):
        draw.ellipse([x - half, y - half, x + half, y + half], fill=255)
    return stencil


def join(*stencils: Stencil) -> Stencil:
    """Union of the stencils."""
    union = stencils[0]
    for other in stencils[1:]:
        union = ImageChops.lighter(union, other)
    return union


def cut(stencil: Stencil, *holes: Stencil) -> Stencil:
    """The stencil without the holes."""
    return ImageChops.subtract(stencil, join(*holes))


def within(stencil: Stencil, other: Stencil) -> Stencil:
    """Intersection of two stencils."""
    return ImageChops.darker(stencil, other)
