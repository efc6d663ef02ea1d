"""Synthetic textures: draw abstract patterns [height, width] of 0..1 from a random generator."""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw

from infra.array_types import Doubles

Generator = np.random.Generator
Texture = Callable[[Generator, int, int], Doubles]


def gradient(rng: Generator, height: int, width: int) -> Doubles:
    """A smooth gradient from one side to the other, slightly curved."""
    along, across = _rotated_coordinates(rng, height, width)
    return _normalised(along + rng.uniform(-0.5, 0.5) * across**2)


def noise(rng: Generator, height: int, width: int) -> Doubles:
    """Noise whose power falls with the frequency, from white noise to clouds."""
    rows, columns = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :]
    frequency = np.maximum(np.hypot(rows, columns), 1 / max(height, width))
    spectrum = np.fft.rfft2(rng.normal(size=(height, width))) / frequency ** rng.uniform(0, 2.2)
    return _normalised(np.fft.irfft2(spectrum, s=(height, width)))


def grain(rng: Generator, height: int, width: int) -> Doubles:
    """Noise that is smooth in one direction, like brushed metal."""
    along = max(2, int(rng.integers(10, 60)))
    rough = rng.random((height, width + along)).cumsum(1)
    lines = rough[:, along:] - rough[:, :-along]
    return _normalised(lines if rng.random() < 0.5 else np.resize(lines.T, (height, width)))


def stripes(rng: Generator, height: int, width: int) -> Doubles:
    """Bands of uneven widths, at a random angle."""
    along, across = _rotated_coordinates(rng, height, width)
    bands = np.sort(rng.uniform(-1.5, 1.5, int(rng.integers(4, 40))))
    wobble = rng.uniform(0, 0.1) * np.sin(across * rng.uniform(2, 12))
    shades = rng.random(len(bands) + 1)
    bins = np.searchsorted(bands, along + wobble)
    return np.asarray(shades[bins], np.float64)


def checks(rng: Generator, height: int, width: int) -> Doubles:
    """A rotated chessboard with squares in different shades."""
    along, across = _rotated_coordinates(rng, height, width)
    cells = rng.uniform(2, 12)
    columns, rows = np.floor(along * cells).astype(int), np.floor(across * cells).astype(int)
    shades = rng.random((7, 5))
    board: Doubles = np.where((columns + rows) % 2, shades[columns % 7, rows % 5], shades[0, 0])
    return board


def rings(rng: Generator, height: int, width: int) -> Doubles:
    """Circular waves around two centres."""
    y, x = _coordinates(height, width)
    waves = np.zeros((height, width))
    for _ in range(2):
        distance = np.hypot(y - rng.uniform(-1.2, 1.2), x - rng.uniform(-1.2, 1.2))
        waves += np.cos(distance * rng.uniform(8, 60))
    return _normalised(waves)


def plasma(rng: Generator, height: int, width: int) -> Doubles:
    """Sum of sine waves in random directions."""
    waves = np.zeros((height, width))
    for _ in range(6):
        along, _across = _rotated_coordinates(rng, height, width)
        waves += np.sin(along * rng.uniform(2, 20) + rng.uniform(0, 6))
    return _normalised(waves)


def cells(rng: Generator, height: int, width: int) -> Doubles:
    """Voronoi cells, each in its own shade, with dark borders."""
    y, x = _coordinates(height, width)
    seeds = rng.uniform(-1.1, 1.1, (int(rng.integers(12, 70)), 2))
    distances = np.hypot(y[..., None] - seeds[:, 0], x[..., None] - seeds[:, 1])
    nearest = np.partition(distances, 1, axis=-1)[..., :2]
    shades = rng.random(len(seeds))[distances.argmin(-1)]
    return np.where(nearest[..., 1] - nearest[..., 0] < 0.015, 0.0, shades)


def polygons(rng: Generator, height: int, width: int) -> Doubles:
    """Overlapping random triangles and quadrangles."""
    canvas, pen = _canvas(rng, height, width)
    for _ in range(int(rng.integers(15, 50))):
        corners = rng.uniform(-0.2, 1.2, (int(rng.integers(3, 5)), 2)) * [width, height]
        pen.polygon([(x, y) for x, y in corners], fill=_random_shade(rng))
    return _field(canvas)


def blobs(rng: Generator, height: int, width: int) -> Doubles:
    """Merging blobs, quantised into steps."""
    y, x = _coordinates(height, width)
    heat = np.zeros((height, width))
    for _ in range(int(rng.integers(8, 25))):
        near = (y - rng.uniform(-1, 1)) ** 2 + (x - rng.uniform(-1, 1)) ** 2
        heat += rng.choice([-1, 1]) * np.exp(-near / rng.uniform(0.01, 0.12))
    steps = int(rng.integers(3, 9))
    return np.round(_normalised(heat) * steps) / steps


def glyphs(rng: Generator, height: int, width: int) -> Doubles:
    """Rows of random strokes that look like letters of no alphabet."""
    canvas, pen = _canvas(rng, height, width)
    side = int(rng.integers(8, 20))
    ink = _random_shade(rng)
    for top in range(0, height, round(side * 1.5)):
        for left in range(0, width, side):
            strokes = rng.integers(0, side - 2, (int(rng.integers(0, 5)), 4))
            for x1, y1, x2, y2 in strokes:
                pen.line((left + x1, top + y1, left + x2, top + y2), fill=ink, width=max(1, side // 7))
    return _field(canvas)


def weave(rng: Generator, height: int, width: int) -> Doubles:
    """Woven threads that pass over and under each other."""
    along, across = _rotated_coordinates(rng, height, width)
    threads = rng.uniform(12, 50)
    warp, weft = np.sin(along * threads), np.sin(across * threads * rng.uniform(0.7, 1.4))
    over = (np.floor(along * threads / np.pi) + np.floor(across * threads / np.pi)) % 2
    return _normalised(np.where(over, np.abs(warp), -np.abs(weft)) + rng.normal(0, 0.1, warp.shape))


def scribble(rng: Generator, height: int, width: int) -> Doubles:
    """Random walks of a pen."""
    canvas, pen = _canvas(rng, height, width)
    for _ in range(int(rng.integers(2, 7))):
        angles = rng.normal(0, 0.5, 400).cumsum()
        steps = np.stack([np.cos(angles), np.sin(angles)], axis=1) * rng.uniform(3, 9)
        walk = (steps.cumsum(0) + rng.random(2) * [width, height]) % [width, height]
        jumps = np.flatnonzero(np.abs(np.diff(walk, axis=0)).max(1) > 20) + 1
        for piece in np.split(walk, jumps):
            pen.line([(x, y) for x, y in piece], fill=_random_shade(rng), width=int(rng.integers(1, 5)))
    return _field(canvas)


def maze(rng: Generator, height: int, width: int) -> Doubles:
    """A grid of squares, each with a diagonal or an arc in one of two directions."""
    canvas, pen = _canvas(rng, height, width)
    side, line_width, ink = int(rng.integers(8, 28)), int(rng.integers(1, 6)), _random_shade(rng)
    arcs = rng.random() < 0.5
    for top in range(0, height, side):
        for left in range(0, width, side):
            is_falling = rng.random() < 0.5
            if arcs:
                x = left - side // 2 if is_falling else left + side // 2
                pen.arc((x, top - side // 2, x + side, top + side // 2), 0, 180, fill=ink, width=line_width)
            else:
                ends = (top, top + side) if is_falling else (top + side, top)
                pen.line((left, ends[0], left + side, ends[1]), fill=ink, width=line_width)
    return _field(canvas)


def circuit(rng: Generator, height: int, width: int) -> Doubles:
    """Lines along a grid, each ending in a dot."""
    canvas, pen = _canvas(rng, height, width)
    step = int(rng.integers(6, 14))
    for _ in range(int(rng.integers(20, 80))):
        x, y = (int(rng.integers(0, size // step)) * step for size in (width, height))
        shade = _random_shade(rng)
        for turn in range(int(rng.integers(2, 7))):
            length = int(rng.integers(-6, 7)) * step
            to = (x + length, y) if turn % 2 else (x, y + length)
            pen.line((x, y, *to), fill=shade, width=2)
            x, y = to
        pen.ellipse((x - 3, y - 3, x + 3, y + 3), fill=shade)
    return _field(canvas)


def dots(rng: Generator, height: int, width: int) -> Doubles:
    """A raster of dots whose size varies."""
    along, across = _rotated_coordinates(rng, height, width)
    raster = rng.uniform(15, 60)
    size = plasma(rng, height, width)
    return np.where(np.cos(along * raster) + np.cos(across * raster) > 2 - 3 * size, 1.0, rng.uniform(0, 0.6))


TEXTURES: tuple[Texture, ...] = (
    gradient, noise, grain, stripes, checks, rings, plasma, cells,
    polygons, blobs, glyphs, weave, scribble, maze, circuit, dots,
)  # fmt: skip


def _coordinates(height: int, width: int) -> tuple[Doubles, Doubles]:
    """y and x of each pixel, -1..1."""
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    return y, x


def _rotated_coordinates(rng: Generator, height: int, width: int) -> tuple[Doubles, Doubles]:
    """Coordinates along and across a random direction, from those of `_coordinates`."""
    y, x = _coordinates(height, width)
    angle = rng.uniform(0, np.pi)
    return x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)


def _normalised(field: Doubles) -> Doubles:
    """The field rescaled linearly to 0..1."""
    rescaled: Doubles = (field - field.min()) / max(np.ptp(field), 1e-9)
    return rescaled


def _random_shade(rng: Generator) -> int:
    return int(rng.integers(0, 256))


def _canvas(rng: Generator, height: int, width: int) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    canvas = Image.new("L", (width, height), _random_shade(rng))
    return canvas, ImageDraw.Draw(canvas)


def _field(canvas: Image.Image) -> Doubles:
    return _normalised(np.asarray(canvas, np.float64))
