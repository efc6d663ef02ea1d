"""Patterns: compute the share of the second colour at each pixel."""

from functools import lru_cache
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from producers.demo.shapes import SIZE

Pattern = Literal["plain", "stripes", "dots", "checks", "chevrons"]
PATTERNS: tuple[Pattern, ...] = get_args(Pattern)

Field = NDArray[np.float32]
"""One number for each pixel of a drawing, SIZE x SIZE, or of a part of it."""


def soft_noise(rng: np.random.Generator, across: int, down: int, size: int = SIZE) -> Field:
    """Smooth random noise, about -1 to 1, interpolated (bicubic) from a grid of `across` x `down` cells."""
    grid = rng.uniform(-1, 1, (down + 1, across + 1)).astype(np.float32)
    return np.asarray(Image.fromarray(grid).resize((size, size), Image.Resampling.BICUBIC))


def second_colour(pattern: Pattern, rng: np.random.Generator) -> Field | None:
    """The share of the second colour at each pixel, 0 to 1; None for the plain pattern.

    On average it is below 0.4, so that people name the main colour as the colour of the product.
    """
    if pattern == "plain":
        return None
    period = float(rng.uniform(34, 46))
    # Cloth is never flat, so the lines of the pattern are distorted.
    across, down = (grid + 5 * soft_noise(rng, 4, 4) for grid in _grid())
    return _DRAW[pattern](across / period, down / period)


@lru_cache(maxsize=1)
def _grid() -> tuple[Field, Field]:
    down, across = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32)
    return across, down


def _line(position: Field, width: float) -> Field:
    """1 on lines of this width (a share of the period) around integer positions, 0 elsewhere."""
    distance = np.abs(position - np.round(position))
    return np.clip((width / 2 - distance) * 14 + 0.5, 0, 1)


def _stripes(across: Field, down: Field) -> Field:
    return _line(down, 0.38)


def _dots(across: Field, down: Field) -> Field:
    row = np.floor(down)
    shifted = across + 0.5 * (row % 2)
    distance = np.hypot(shifted - np.floor(shifted) - 0.5, down - row - 0.5)
    return np.asarray(np.clip((0.29 - distance) * 14 + 0.5, 0, 1), dtype=np.float32)


def _checks(across: Field, down: Field) -> Field:
    return 0.5 * _line(across, 0.42) + 0.5 * _line(down, 0.42)


def _chevrons(across: Field, down: Field) -> Field:
    zigzag = np.abs(across / 1.2 - np.round(across / 1.2))
    return _line(down + 1.1 * zigzag, 0.36)


_DRAW = {"stripes": _stripes, "dots": _dots, "checks": _checks, "chevrons": _chevrons}
