"""CIE Lab: converts sRGB to Lab, and computes CIEDE2000 colour differences, in numpy.

Sources: IEC 61966-2-1 (sRGB); CIE 15:2004 (Lab, white point D65); Sharma, Wu and Dalal, The CIEDE2000
color-difference formula, 2005; the numbers in the comments are its equation numbers.
"""

from math import radians

import numpy as np
from numpy.typing import NDArray

from infra.array_types import Floats

WHITE_D65 = np.array([0.95047, 1.0, 1.08883])
SRGB_TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)


def to_lab(rgb: NDArray[np.uint8] | NDArray[np.float64]) -> Floats:
    """Convert sRGB [..., 3] of 0..255 to Lab [..., 3]: L 0..100, a and b about -110..110."""
    scaled = np.asarray(rgb, np.float64) / 255
    linear = np.where(scaled <= 0.04045, scaled / 12.92, ((scaled + 0.055) / 1.055) ** 2.4)
    xyz = linear @ SRGB_TO_XYZ.T / WHITE_D65
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), xyz * 841 / 108 + 4 / 29)
    lab = np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], axis=-1)
    return lab.astype(np.float32)


def ciede2000(first: Floats, second: Floats) -> Floats:
    """CIEDE2000 difference of Lab colours [..., 3], about 1 when just noticeable; shapes broadcast."""
    (l1, a1, b1), (l2, a2, b2) = np.moveaxis(first, -1, 0), np.moveaxis(second, -1, 0)
    chroma = (np.hypot(a1, b1) + np.hypot(a2, b2)) / 2
    g = 1 + 0.5 * (1 - _chroma_factor(chroma))  # (4), with 1 added as in (5)
    c1, c2 = np.hypot(a1 * g, b1), np.hypot(a2 * g, b2)  # (6)
    h1, h2 = np.arctan2(b1, a1 * g), np.arctan2(b2, a2 * g)  # (7), in radians
    hue_difference = np.where(c1 * c2 == 0, 0, (h2 - h1 + np.pi) % (2 * np.pi) - np.pi)  # (10)
    dl, dc, dh = l2 - l1, c2 - c1, 2 * np.sqrt(c1 * c2) * np.sin(hue_difference / 2)  # (8), (9), (11)
    mean_l, mean_c = (l1 + l2) / 2, (c1 + c2) / 2  # (12), (13)
    # (14): the mean hue on the shorter arc; where one colour is grey, the hue of the other.
    hue = np.where(c1 * c2 == 0, h1 + h2, h1 + hue_difference / 2)
    lightness_offset = (mean_l - 50) ** 2
    sl = 1 + 0.015 * lightness_offset / np.sqrt(20 + lightness_offset)  # (18)
    sc = 1 + 0.045 * mean_c  # (19)
    sh = 1 + 0.015 * mean_c * _hue_weight(hue)  # (20)
    offset_275 = ((np.degrees(hue) % 360) - 275) / 25
    rotation = -2 * _chroma_factor(mean_c) * np.sin(np.radians(60 * np.exp(-(offset_275**2))))  # (16), (17), (21)
    squared = (dl / sl) ** 2 + (dc / sc) ** 2 + (dh / sh) ** 2 + rotation * (dc / sc) * (dh / sh)  # (22)
    difference: Floats = np.sqrt(np.maximum(squared, 0))
    return difference


def _chroma_factor(chroma: Floats) -> Floats:
    """sqrt(C^7 / (C^7 + 25^7)), which occurs in (4) and (17)."""
    cube = chroma * chroma * chroma
    seventh_power = cube * cube * chroma
    root: Floats = np.sqrt(seventh_power / (seventh_power + 25.0**7))
    return root


def _hue_weight(hue: Floats) -> Floats:
    """T in (15)."""
    cosines = 0.24 * np.cos(2 * hue) + 0.32 * np.cos(3 * hue + radians(6))
    weight: Floats = 1 - 0.17 * np.cos(hue - radians(30)) + cosines - 0.20 * np.cos(4 * hue - radians(63))
    return weight
