"""Shades: colours as keywords, so that one payload index serves both `red` and `#aa2233~15`.

A shade is a colour name or a cell of Lab space. For example, `L12.3.-4` is the cell with centre L 60, a 15, b -20.
Cells are internal to the index and never appear in messages, so they are defined here and not in schemas.
Consumers write them into points, and search plans filter by them.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from schemas.filters import DEFAULT_DISTANCE, ColourName

if TYPE_CHECKING:
    from schemas.results import Swatch  # its import takes 0.25 s, and the engine does not need it

CELL_SIZE = 5.0
"""Lab units between adjacent cell centres. Distances are accurate to half a cell diagonal, 4.3 units."""
MIN_SWATCH_SHARE = 0.1
"""A swatch is indexed if it covers at least this share of the foreground; the largest is always indexed."""

Lab = tuple[float, float, float]


def picture_shades(names: Iterable[ColourName], palette: "Sequence[Swatch]") -> list[str]:
    """Return the shades of a picture from its colour names and its palette (largest swatch first)."""
    indexed = [swatch for swatch in palette if swatch.share >= MIN_SWATCH_SHARE] or palette[:1]
    return list(dict.fromkeys([*names, *(lab_cell(swatch.lab) for swatch in indexed)]))


def filter_shades(colours: Iterable[str]) -> tuple[str, ...]:
    """Return the shades that match `colours` of schemas.filters.Filters; a hit must have at least one of them."""
    matches = (_matching_cells(colour) if colour.startswith("#") else [colour] for colour in colours)
    return tuple(dict.fromkeys(shade for shades in matches for shade in shades))


def lab_cell(lab: Lab) -> str:
    """Return the cell that contains a Lab colour."""
    return _cell(*np.round(np.array(lab) / CELL_SIZE).astype(int).tolist())


def hex_to_lab(code: str) -> Lab:
    """Convert `#rrggbb` to Lab, white point D65. Source: IEC 61966-2-1 and CIE 15:2004, as in vision/cielab.py."""
    share = np.array(list(bytes.fromhex(code[1:7]))) / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    to_xyz = [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
    xyz = np.array(to_xyz) @ linear / (0.95047, 1.0, 1.08883)
    x, y, z = np.where(xyz > 216 / 24389, np.cbrt(xyz), xyz * 841 / 108 + 4 / 29).tolist()
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def _matching_cells(colour: str) -> list[str]:
    """Return the cell of a colour and all cells whose centres are within its distance (CIE76, Euclidean in Lab)."""
    code, _, distance = colour.partition("~")
    lab = np.array(hex_to_lab(code))
    radius = float(distance or DEFAULT_DISTANCE)
    axes = [np.arange(np.ceil((x - radius) / CELL_SIZE), np.floor((x + radius) / CELL_SIZE) + 1) for x in lab]
    cells = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
    near = cells[np.linalg.norm(cells * CELL_SIZE - lab, axis=1) <= radius]
    return [lab_cell((lab[0], lab[1], lab[2])), *(_cell(*cell) for cell in near.astype(int).tolist())]


def _cell(light: int, a: int, b: int) -> str:
    return f"L{light}.{a}.{b}"
