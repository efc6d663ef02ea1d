"""Textures that picture nothing: each draws a field [height, width] of 0..1 from a generator of random numbers."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Floats = NDArray[np.float64]
Generator = np.random.Generator
Texture = Callable[[Generator, int, int], Floats]


def gradient(rng: Generator, height: int, width: int) -> Floats:
    """A smooth run from one side to the other, bent a little."""
    along, across = _turned(rng, height, width)
    return _stretched(along + rng.uniform(-0.5, 0.5) * across**2)


def noise(rng: Generator, height: int, width: int) -> Floats:
    """Noise whose power falls with frequency, from white to cloudy."""
    rows, columns = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :]
    frequency = np.maximum(np.hypot(rows, columns), 1 / max(height, width))
    spectrum = np.fft.rfft2(rng.normal(size=(height, width))) / frequency ** rng.uniform(0, 2.2)
    return _stretched(np.fft.irfft2(spectrum, s=(height, width)))


def grain(rng: Generator, height: int, width: int) -> Floats:
    """Noise that is smooth along one direction, as brushed metal."""
    along = max(2, int(rng.integers(10, 60)))
    rough = rng.random((height, width + along)).cumsum(1)
    lines = rough[:, along:] - rough[:, :-along]
    return _stretched(lines if rng.random() < 0.5 else np.resize(lines.T, (height, width)))


def stripes(rng: Generator, height: int, width: int) -> Floats:
    """Bands of uneven widths, at any angle."""
    along, across = _turned(rng, height, width)
    bands = np.sort(rng.uniform(-1.5, 1.5, int(rng.integers(4, 40))))
    wobble = rng.uniform(0, 0.1) * np.sin(across * rng.uniform(2, 12))
    shades = rng.random(len(bands) + 1)
    places = np.searchsorted(bands, along + wobble)
    return np.asarray(shades[places], np.float64)


def checks(rng: Generator, height: int, width: int) -> Floats:
    """A chessboard, turned, with fields that are not all alike."""
    along, across = _turned(rng, height, width)
    cells = rng.uniform(2, 12)
    columns, rows = np.floor(along * cells).astype(int), np.floor(across * cells).astype(int)
    shades = rng.random((7, 5))
    board: Floats = np.where((columns + rows) % 2, shades[columns % 7, rows % 5], shades[0, 0])
    return board


def rings(rng: Generator, height: int, width: int) -> Floats:
    """Waves around two centres."""
    y, x = _grid(height, width)
    waves = np.zeros((height, width))
    for _ in range(2):
        distance = np.hypot(y - rng.uniform(-1.2, 1.2), x - rng.uniform(-1.2, 1.2))
        waves += np.cos(distance * rng.uniform(8, 60))
    return _stretched(waves)


def plasma(rng: Generator, height: int, width: int) -> Floats:
    """Sines of every direction on top of each other."""
    waves = np.zeros((height, width))
    for _ in range(6):
        along, _across = _turned(rng, height, width)
        waves += np.sin(along * rng.uniform(2, 20) + rng.uniform(0, 6))
    return _stretched(waves)


def cells(rng: Generator, height: int, width: int) -> Floats:
    """Voronoi cells, each in a shade of its own, with dark seams."""
    y, x = _grid(height, width)
    seeds = rng.uniform(-1.1, 1.1, (int(rng.integers(12, 70)), 2))
    distances = np.hypot(y[..., None] - seeds[:, 0], x[..., None] - seeds[:, 1])
    nearest = np.partition(distances, 1, axis=-1)[..., :2]
    shades = rng.random(len(seeds))[distances.argmin(-1)]
    return np.where(nearest[..., 1] - nearest[..., 0] < 0.015, 0.0, shades)


def polygons(rng: Generator, height: int, width: int) -> Floats:
    """Triangles and quadrangles thrown on top of each other."""
    canvas, pen = _canvas(rng, height, width)
    for _ in range(int(rng.integers(15, 50))):
        corners = rng.uniform(-0.2, 1.2, (int(rng.integers(3, 5)), 2)) * [width, height]
        pen.polygon([(x, y) for x, y in corners], fill=_shade(rng))
    return _field(canvas)


def blobs(rng: Generator, height: int, width: int) -> Floats:
    """Drops that run into each other, in steps."""
    y, x = _grid(height, width)
    heat = np.zeros((height, width))
    for _ in range(int(rng.integers(8, 25))):
        near = (y - rng.uniform(-1, 1)) ** 2 + (x - rng.uniform(-1, 1)) ** 2
        heat += rng.choice([-1, 1]) * np.exp(-near / rng.uniform(0.01, 0.12))
    steps = int(rng.integers(3, 9))
    return np.round(_stretched(heat) * steps) / steps


def glyphs(rng: Generator, height: int, width: int) -> Floats:
    """Rows of signs that no alphabet has."""
    canvas, pen = _canvas(rng, height, width)
    side = int(rng.integers(8, 20))
    ink = _shade(rng)
    for top in range(0, height, round(side * 1.5)):
        for left in range(0, width, side):
            strokes = rng.integers(0, side - 2, (int(rng.integers(0, 5)), 4))
            for x1, y1, x2, y2 in strokes:
                pen.line((left + x1, top + y1, left + x2, top + y2), fill=ink, width=max(1, side // 7))
    return _field(canvas)


def weave(rng: Generator, height: int, width: int) -> Floats:
    """Threads over and under each other."""
    along, across = _turned(rng, height, width)
    threads = rng.uniform(12, 50)
    warp, weft = np.sin(along * threads), np.sin(across * threads * rng.uniform(0.7, 1.4))
    over = (np.floor(along * threads / np.pi) + np.floor(across * threads / np.pi)) % 2
    return _stretched(np.where(over, np.abs(warp), -np.abs(weft)) + rng.normal(0, 0.1, warp.shape))


def scribble(rng: Generator, height: int, width: int) -> Floats:
    """The walk of a pen that nobody leads."""
    canvas, pen = _canvas(rng, height, width)
    for _ in range(int(rng.integers(2, 7))):
        turns = rng.normal(0, 0.5, 400).cumsum()
        steps = np.stack([np.cos(turns), np.sin(turns)], axis=1) * rng.uniform(3, 9)
        walk = (steps.cumsum(0) + rng.random(2) * [width, height]) % [width, height]
        jumps = np.flatnonzero(np.abs(np.diff(walk, axis=0)).max(1) > 20) + 1
        for piece in np.split(walk, jumps):
            pen.line([(x, y) for x, y in piece], fill=_shade(rng), width=int(rng.integers(1, 5)))
    return _field(canvas)


def maze(rng: Generator, height: int, width: int) -> Floats:
    """Diagonals, or quarter circles, that fall one way or the other in each square."""
    canvas, pen = _canvas(rng, height, width)
    side, thick, ink = int(rng.integers(8, 28)), int(rng.integers(1, 6)), _shade(rng)
    arcs = rng.random() < 0.5
    for top in range(0, height, side):
        for left in range(0, width, side):
            falls = rng.random() < 0.5
            if arcs:
                x = left - side // 2 if falls else left + side // 2
                pen.arc((x, top - side // 2, x + side, top + side // 2), 0, 180, fill=ink, width=thick)
            else:
                ends = (top, top + side) if falls else (top + side, top)
                pen.line((left, ends[0], left + side, ends[1]), fill=ink, width=thick)
    return _field(canvas)


def circuit(rng: Generator, height: int, width: int) -> Floats:
    """Lines that run along a grid, with a dot at each end."""
    canvas, pen = _canvas(rng, height, width)
    step = int(rng.integers(6, 14))
    for _ in range(int(rng.integers(20, 80))):
        x, y = (int(rng.integers(0, size // step)) * step for size in (width, height))
        shade = _shade(rng)
        for turn in range(int(rng.integers(2, 7))):
            length = int(rng.integers(-6, 7)) * step
            to = (x + length, y) if turn % 2 else (x, y + length)
            pen.line((x, y, *to), fill=shade, width=2)
            x, y = to
        pen.ellipse((x - 3, y - 3, x + 3, y + 3), fill=shade)
    return _field(canvas)


def dots(rng: Generator, height: int, width: int) -> Floats:
    """A raster of dots whose size comes and goes."""
    along, across = _turned(rng, height, width)
    raster = rng.uniform(15, 60)
    size = plasma(rng, height, width)
    return np.where(np.cos(along * raster) + np.cos(across * raster) > 2 - 3 * size, 1.0, rng.uniform(0, 0.6))


TEXTURES: tuple[Texture, ...] = (
    gradient, noise, grain, stripes, checks, rings, plasma, cells,
    polygons, blobs, glyphs, weave, scribble, maze, circuit, dots,
)  # fmt: skip


def _grid(height: int, width: int) -> tuple[Floats, Floats]:
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    return y, x


def _turned(rng: Generator, height: int, width: int) -> tuple[Floats, Floats]:
    """Coordinates along and across a random direction."""
    y, x = _grid(height, width)
    angle = rng.uniform(0, np.pi)
    return x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)


def _stretched(field: Floats) -> Floats:
    """The field over the whole of 0..1."""
    stretched: Floats = (field - field.min()) / max(np.ptp(field), 1e-9)
    return stretched


def _shade(rng: Generator) -> int:
    return int(rng.integers(0, 256))


def _canvas(rng: Generator, height: int, width: int) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    canvas = Image.new("L", (width, height), _shade(rng))
    return canvas, ImageDraw.Draw(canvas)


def _field(canvas: Image.Image) -> Floats:
    return _stretched(np.asarray(canvas, np.float64))
