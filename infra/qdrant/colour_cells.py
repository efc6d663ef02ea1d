"""Shades: colours as keywords, so that one payload index serves `red` and `#aa2233~15` alike.

A shade is a colour's name or a cell of Lab space, such as `L12.3.-4`: the cell whose middle is L 60, a 15, b -20.
Cells are how the index is laid out, no words on the wire, so they live beside the plan and not in schemas;
consumers write them into points, and the plan asks for them.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from schemas.filters import DEFAULT_DISTANCE, ColourName

if TYPE_CHECKING:
    from schemas.results import Swatch  # it takes a quarter of a second to import, which the engine can do without

SIDE = 5.0
"""Units of Lab from one cell's middle to the next: a distance is met to within half a cell's diagonal, 4.3."""
COUNTS = 0.1
"""A swatch counts when it covers this share of the foreground; the largest always counts."""

Lab = tuple[float, float, float]


def shades_of(names: Iterable[ColourName], palette: "Sequence[Swatch]") -> list[str]:
    """The shades of a picture with these named colours and this palette, largest swatch first."""
    counting = [swatch for swatch in palette if swatch.share >= COUNTS] or palette[:1]
    return list(dict.fromkeys([*names, *(cell_of(swatch.lab) for swatch in counting)]))


def shades_asked(colours: Iterable[str]) -> tuple[str, ...]:
    """The shades of which a hit must have one, for the `colours` of schemas.searches.Filters."""
    found = (_cells_asked(colour) if colour.startswith("#") else [colour] for colour in colours)
    return tuple(dict.fromkeys(shade for shades in found for shade in shades))


def cell_of(lab: Lab) -> str:
    """The cell that a Lab colour lies in."""
    return _cell(*np.round(np.array(lab) / SIDE).astype(int).tolist())


def lab_of(code: str) -> Lab:
    """Lab of `#rrggbb`, white point D65. Source: IEC 61966-2-1 and CIE 15:2004, as in vision/cielab.py."""
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


def _cells_asked(colour: str) -> list[str]:
    """The colour's own cell, and those whose middle lies within its distance (CIE76, straight through Lab)."""
    code, _, distance = colour.partition("~")
    lab = np.array(lab_of(code))
    reach = float(distance or DEFAULT_DISTANCE)
    sides = [np.arange(np.ceil((x - reach) / SIDE), np.floor((x + reach) / SIDE) + 1) for x in lab]
    cells = np.stack(np.meshgrid(*sides, indexing="ij"), -1).reshape(-1, 3)
    near = cells[np.linalg.norm(cells * SIDE - lab, axis=1) <= reach]
    return [cell_of((lab[0], lab[1], lab[2])), *(_cell(*cell) for cell in near.astype(int).tolist())]


def _cell(light: int, a: int, b: int) -> str:
    return f"L{light}.{a}.{b}"
