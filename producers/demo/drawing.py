"""Drawing: paint the parts of a product with shape, shading and pattern onto a transparent RGBA image."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from PIL import Image, ImageFilter

from infra.array_types import Floats
from producers.demo.patterns import Field, Pattern, second_colour, soft_noise
from producers.demo.shapes import SIZE, STENCIL, Outline, Stencil, stroke, within

Colour = tuple[float, float, float]
Window = tuple[slice, slice]
"""Rows and columns of a drawing."""


WHITE: Colour = (244, 242, 238)
DARK: Colour = (44, 42, 46)
STEEL: Colour = (176, 180, 186)
GOLD: Colour = (204, 164, 84)
WOOD: Colour = (176, 128, 84)
SHADOW: Colour = (20, 16, 18)


LIGHT: Floats = np.array([-0.42, -0.58, 0.70], dtype=np.float32)
"""Unit vector towards the light: left, above and in front of the object; y points down."""

HALF_VECTOR: Floats = np.array([-0.23, -0.31, 0.92], dtype=np.float32)
"""Half vector between light and viewer: a surface with this normal shows the highlight (Blinn-Phong)."""

AMBIENT = 0.45
"""Share of ambient light, 0 to 1."""

FOLD_HEIGHT = 6.0
"""Height of the folds in pixels when `Form.folds` is 1."""


@dataclass(frozen=True)
class Form:
    """Surface shape and gloss of a part; `round` is the width of its rounded rim in units of the sheet."""

    round: float
    bulge: float = 1.0
    gloss: float = 0.0
    folds: float = 0.0


CLOTH = Form(round=3.0, bulge=0.9, folds=0.5)
LEATHER = Form(round=4.0, bulge=1.1, gloss=0.22, folds=0.1)
GLAZE = Form(round=9.0, bulge=1.9, gloss=0.75)
METAL = Form(round=1.2, bulge=1.3, gloss=0.8)
TIMBER = Form(round=1.2, bulge=0.9, gloss=0.1)
CUSHION = Form(round=4.5, bulge=1.3, folds=0.25)


@dataclass(frozen=True)
class Finish:
    """Surface of a product: its main colour, a second colour and their pattern."""

    colour: Colour
    second: Colour
    pattern: Pattern


@dataclass
class Pen:
    """Paints a product part by part; later parts cover earlier ones."""

    finish: Finish
    rng: np.random.Generator
    rgb: Floats = field(default_factory=lambda: np.zeros((SIZE, SIZE, 3), dtype=np.float32))
    alpha: Field = field(default_factory=lambda: np.zeros((SIZE, SIZE), dtype=np.float32))

    def __post_init__(self) -> None:
        self._pattern_share = second_colour(self.finish.pattern, self.rng)
        self._fold_heights = soft_noise(self.rng, 5, 4, SIZE // 2)

    def uniform(self, low: float, high: float) -> float:
        """A random measure for this product, so that products of one kind differ."""
        return float(self.rng.uniform(low, high))

    def body(self, stencil: Stencil, form: Form, tone: float = 1.0) -> None:
        """Paint a part in the product's colour and pattern; `tone` below 1 is darker."""
        self._paint(stencil, form, lambda window: self._pattern_colour(window) * tone)

    def plain(self, stencil: Stencil, form: Form, tone: float = 1.0) -> None:
        """Paint a part in the product's colour, without its pattern."""
        self.part(stencil, self.shade(tone), form)

    def part(self, stencil: Stencil, colour: Colour, form: Form) -> None:
        """Paint a part in the given colour."""
        self._paint(stencil, form, lambda window: np.array(colour, dtype=np.float32))

    def shade(self, tone: float) -> Colour:
        """The product's colour, darker (`tone` below 1) or lighter (above 1)."""
        red, green, blue = (min(255.0, 6 + channel * tone) for channel in self.finish.colour)
        return red, green, blue

    def flat(self, stencil: Stencil, colour: Colour, strength: float = 1.0) -> None:
        """Paint a colour over the drawing, without shading."""
        window, cover = _coverage(stencil)
        self._composite(window, cover * strength, np.array(colour, dtype=np.float32))

    def seam(self, points: Outline, width: float = 0.5, strength: float = 0.35) -> None:
        """Draw a thin dark line: a seam, a crease or an edge."""
        self.flat(stroke(points, width), SHADOW, strength)

    def stitches(self, points: Sequence[tuple[float, float]], count: int) -> None:
        """Draw a row of small light stitches along a straight line between two points."""
        (x0, y0), (x1, y1) = points
        for start in np.linspace(0, 1, count, endpoint=False):
            end = start + 0.55 / count
            ends = [(x0 + (x1 - x0) * t, y0 + (y1 - y0) * t) for t in (start, end)]
            self.flat(stroke(ends, 0.45), WHITE, 0.6)

    def shadow(self, stencil: Stencil, on: Stencil, reach: float = 2.0, strength: float = 0.4) -> None:
        """Draw the soft shadow that one part casts on another."""
        small = stencil.reduce(8).filter(ImageFilter.GaussianBlur(reach * STENCIL / 800))
        self.flat(within(small.resize(stencil.size, Image.Resampling.BILINEAR), on), SHADOW, strength)

    def cutout(self) -> Image.Image:
        """The drawing so far as RGBA, SIZE x SIZE, transparent around the object."""
        # The stored colours are premultiplied by alpha; this divides them by alpha again.
        divisor = np.maximum(self.alpha, 1 / 255)[..., None]
        pixels = np.concatenate([self.rgb / divisor, self.alpha[..., None] * 255], axis=2)
        return Image.fromarray(pixels.astype(np.uint8), "RGBA")

    def _pattern_colour(self, window: Window) -> Floats:
        main = np.array(self.finish.colour, dtype=np.float32)
        if self._pattern_share is None:
            return main
        second = np.array(self.finish.second, dtype=np.float32)
        return main + self._pattern_share[window][..., None] * (second - main)

    def _paint(self, stencil: Stencil, form: Form, colour: Callable[[Window], Floats]) -> None:
        window, cover = _coverage(stencil)
        across, down = self._slope(stencil, window, form)
        shaded = colour(window) * _diffuse(across, down)[..., None]
        self._composite(
            window, cover, shaded + _highlight(across, down, form.gloss)[..., None] if form.gloss else shaded
        )

    def _composite(self, window: Window, cover: Field, pixels: Floats) -> None:
        transparency = (1 - cover)[..., None]
        self.rgb[window] = self.rgb[window] * transparency + np.clip(pixels, 0, 255) * cover[..., None]
        self.alpha[window] = self.alpha[window] * transparency[..., 0] + cover

    def _slope(self, stencil: Stencil, window: Window, form: Form) -> tuple[Field, Field]:
        """Gradient of a part's surface height (across, down) at half size: steep at the rim and flat inside."""
        rows, columns = (slice(side.start // 2, side.stop // 2) for side in window)
        small = np.asarray(stencil.crop(_stencil_box(window)).reduce(4), dtype=np.float32) / 255
        sigma = form.round * SIZE / 200
        blur = _blur_matrix(sigma)
        blurred = blur[rows, rows] @ small @ blur[columns, columns].T
        # The slope of a blurred edge is 1 / (2.5 sigma). Scaled by sigma, it is the same for rims of any width.
        height = 2 * form.bulge * sigma * blurred + form.folds * FOLD_HEIGHT * self._fold_heights[rows, columns]
        down, across = np.gradient(height)
        return across, down


def _stencil_box(window: Window) -> tuple[int, int, int, int]:
    rows, columns = window
    return 2 * columns.start, 2 * rows.start, 2 * columns.stop, 2 * rows.stop


def _coverage(stencil: Stencil) -> tuple[Window, Field]:
    """The window of the drawing that contains a stencil, and the stencil's coverage of each pixel there, 0 to 1."""
    left, top, right, bottom = stencil.getbbox() or (0, 0, 1, 1)
    # Two pixels of margin for the slope at the rim; even borders, because shading is computed at half size.
    rows = slice(max(0, top // 4 * 2 - 2), min(SIZE, -(-bottom // 4) * 2 + 2))
    columns = slice(max(0, left // 4 * 2 - 2), min(SIZE, -(-right // 4) * 2 + 2))
    window = rows, columns
    cover = np.asarray(stencil.crop(_stencil_box(window)).reduce(2), dtype=np.float32)
    return window, cover / np.float32(255)


@lru_cache(maxsize=32)
def _blur_matrix(sigma: float) -> Field:
    """Matrix of a Gaussian blur with this sigma in pixels: from the left for columns, transposed for rows."""
    position = np.arange(SIZE // 2, dtype=np.float32)
    weight = np.exp(-0.5 * ((position[:, None] - position[None, :]) / sigma) ** 2)
    return np.asarray(weight / (sigma * np.sqrt(2 * np.pi)), dtype=np.float32)


def _cosine(direction: Floats, across: Field, down: Field) -> Field:
    """Cosine between the normal of a slope and a direction."""
    product = direction[2] - direction[0] * across - direction[1] * down
    return np.asarray(product / np.sqrt(across**2 + down**2 + 1), dtype=np.float32)


def _diffuse(across: Field, down: Field) -> Field:
    """Diffuse and ambient light on a slope, at twice its size; 1 on a surface that faces the viewer."""
    diffuse = np.clip(_cosine(LIGHT, across, down) / LIGHT[2], 0, 1.5)
    return _upsample(AMBIENT + (1 - AMBIENT) * diffuse)


def _highlight(across: Field, down: Field, gloss: float) -> Field:
    """Specular highlight on a slope, at twice its size, 0 to 255."""
    return _upsample(255 * gloss * np.clip(_cosine(HALF_VECTOR, across, down), 0, 1) ** 40)


def _upsample(values: Field) -> Field:
    picture = Image.fromarray(values)
    return np.asarray(picture.resize((2 * picture.width, 2 * picture.height), Image.Resampling.BILINEAR))
