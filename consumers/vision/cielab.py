"""CIE Lab and CIEDE2000 in numpy.

Sources: IEC 61966-2-1 (sRGB); CIE 15:2004 (Lab, white point D65); Sharma, Wu and Dalal, The CIEDE2000
color-difference formula, 2005, whose equation numbers stand beside the lines.
"""

from math import radians

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

WHITE = np.array([0.95047, 1.0, 1.08883])
TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)


def to_lab(rgb: NDArray[np.uint8] | NDArray[np.float64]) -> Floats:
    """sRGB 0..255, [..., 3], to Lab: L 0..100, a and b about -110..110."""
    share = np.asarray(rgb, np.float64) / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    xyz = linear @ TO_XYZ.T / WHITE
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), xyz * 841 / 108 + 4 / 29)
    lab = np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], axis=-1)
    return lab.astype(np.float32)


def ciede2000(one: Floats, other: Floats) -> Floats:
    """How different two colours look, about 1 when just noticeable; Lab [..., 3], shapes broadcast."""
    (l1, a1, b1), (l2, a2, b2) = np.moveaxis(one, -1, 0), np.moveaxis(other, -1, 0)
    chroma = (np.hypot(a1, b1) + np.hypot(a2, b2)) / 2
    g = 1 + 0.5 * (1 - _seventh(chroma))  # (4), with 1 added as in (5)
    c1, c2 = np.hypot(a1 * g, b1), np.hypot(a2 * g, b2)  # (6)
    h1, h2 = np.arctan2(b1, a1 * g), np.arctan2(b2, a2 * g)  # (7), in radians
    turn = np.where(c1 * c2 == 0, 0, (h2 - h1 + np.pi) % (2 * np.pi) - np.pi)  # (10)
    dl, dc, dh = l2 - l1, c2 - c1, 2 * np.sqrt(c1 * c2) * np.sin(turn / 2)  # (8), (9), (11)
    mean_l, mean_c = (l1 + l2) / 2, (c1 + c2) / 2  # (12), (13)
    # (14): the mean hue on the shorter arc; where one colour is grey, the other's hue alone.
    hue = np.where(c1 * c2 == 0, h1 + h2, h1 + turn / 2)
    from_50 = (mean_l - 50) ** 2
    sl = 1 + 0.015 * from_50 / np.sqrt(20 + from_50)  # (18)
    sc = 1 + 0.045 * mean_c  # (19)
    sh = 1 + 0.015 * mean_c * _hue_weight(hue)  # (20)
    around = ((np.degrees(hue) % 360) - 275) / 25
    rotation = -2 * _seventh(mean_c) * np.sin(np.radians(60 * np.exp(-(around**2))))  # (16), (17), (21)
    square = (dl / sl) ** 2 + (dc / sc) ** 2 + (dh / sh) ** 2 + rotation * (dc / sc) * (dh / sh)  # (22)
    difference: Floats = np.sqrt(np.maximum(square, 0))
    return difference


def _seventh(chroma: Floats) -> Floats:
    cube = chroma * chroma * chroma
    power = cube * cube * chroma
    root: Floats = np.sqrt(power / (power + 25.0**7))
    return root


def _hue_weight(hue: Floats) -> Floats:
    # (15)
    cosines = 0.24 * np.cos(2 * hue) + 0.32 * np.cos(3 * hue + radians(6))
    weight: Floats = 1 - 0.17 * np.cos(hue - radians(30)) + cosines - 0.20 * np.cos(4 * hue - radians(63))
    return weight
