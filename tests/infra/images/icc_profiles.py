"""ICC profiles for tests, written field by field: RGB spaces by primaries and curve, grey, a press by an ink model.

Source: ICC.1:2001-04 (version 2) and ICC.1:2022 (version 4). The inks are a Neugebauer model with about the colours
of SWOP.
"""

import struct
from functools import cache
from itertools import product

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]
Tags = dict[bytes, bytes]

D50 = np.array([0.9642, 1.0, 0.8249])
D65, D50_XY = (0.3127, 0.3290), (0.3457, 0.3585)
BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
BT709_CURVE = (1 / 0.45, 1 / 1.099, 0.099 / 1.099, 1 / 4.5, 0.081)
"""Parameters g, a, b, c, d of a parametric curve of type 3."""

Curve = float | tuple[float, ...]
"""An exponent, or the parameters of a parametric curve."""


def profile(tags: Tags, space: bytes, *, version: int = 2, kind: bytes = b"mntr", pcs: bytes = b"XYZ ") -> bytes:
    """Header, tag table and tags."""
    common = {b"desc": _description(version), b"wtpt": xyz(D50)}
    body, entries, start = b"", b"", 132 + 12 * len(tags | common)
    for name, content in (common | tags).items():
        entries += struct.pack(">4sII", name, start + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    header = struct.pack(">I4xB3x4s4s4s", start + len(body), version, kind, space, pcs)
    header += struct.pack(">6H4s28x", 2026, 1, 1, 0, 0, 0, b"acsp") + xyz(D50)[8:] + bytes(48)
    return header + struct.pack(">I", len(tags | common)) + entries + body


def _description(version: int) -> bytes:
    if version >= 4:
        return struct.pack(">4s4xII2s2sII", b"mluc", 1, 12, b"en", b"US", 8, 28) + "test".encode("utf-16-be")
    return struct.pack(">4s4xI5s78x", b"desc", 5, b"test\0")


def xyz(values: Doubles) -> bytes:
    return struct.pack(">4s4x3i", b"XYZ ", *(round(float(value) * 65536) for value in values))


def curve_tag(curve: Curve, version: int) -> bytes:
    """Version 2: an exponent or a table of 1,024 points, as in the sRGB profile of most files; 4: parametric."""
    if version >= 4:
        parameters = curve if isinstance(curve, tuple) else (curve,)
        values = (round(value * 65536) for value in parameters)
        return struct.pack(f">4s4xH2x{len(parameters)}i", b"para", 3 if len(parameters) == 5 else 0, *values)
    if not isinstance(curve, tuple):
        return struct.pack(">4s4xIH", b"curv", 1, round(curve * 256))
    table = np.round(linear(curve, np.linspace(0, 1, 1024)) * 65535).astype(">u2")
    return struct.pack(">4s4xI", b"curv", 1024) + table.tobytes()


def linear(curve: Curve, samples: Doubles) -> Doubles:
    """Linear light of encoded samples 0..1."""
    if not isinstance(curve, tuple):
        return np.asarray(samples**curve)
    g, a, b, c, d = curve
    return np.where(samples >= d, np.maximum(a * samples + b, 0) ** g, c * samples)


def colorants(points: tuple[tuple[float, float], ...], white: tuple[float, float]) -> Doubles:
    """XYZ [3, 3] of the primaries in columns, adapted to D50 by Bradford's matrix."""
    columns = np.array([(x / y, 1, (1 - x - y) / y) for x, y in (*points, white)]).T
    scaled = columns[:, :3] * np.linalg.solve(columns[:, :3], columns[:, 3])
    gains = (BRADFORD @ D50) / (BRADFORD @ columns[:, 3])
    return np.asarray(np.linalg.inv(BRADFORD) @ np.diag(gains) @ BRADFORD @ scaled)


def rgb_profile(
    points: tuple[tuple[float, float], ...],
    curve: Curve,
    white: tuple[float, float] = D65,
    version: int = 2,
    kind: bytes = b"mntr",
) -> bytes:
    """A profile of primaries red, green, blue (x, y), a curve and a white."""
    columns = colorants(points, white).T
    tags = {name: xyz(column) for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), columns, strict=True)}
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve_tag(curve, version))
    return profile(tags, b"RGB ", version=version, kind=kind)


def grey_profile(curve: Curve, version: int = 2) -> bytes:
    return profile({b"kTRC": curve_tag(curve, version)}, b"GRAY", version=version)


SRGB_POINTS = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
P3_POINTS = ((0.68, 0.32), (0.265, 0.69), (0.15, 0.06))
BT2020_POINTS = ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046))
ADOBE_POINTS = ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06))
APPLE_POINTS = ((0.625, 0.34), (0.28, 0.595), (0.155, 0.07))
PROPHOTO_POINTS = ((0.7347, 0.2653), (0.1596, 0.8404), (0.0366, 0.0001))


@cache
def rgb_spaces() -> dict[str, bytes]:
    return {
        "ProPhoto RGB": rgb_profile(PROPHOTO_POINTS, 1.8, D50_XY),
        "Adobe RGB": rgb_profile(ADOBE_POINTS, 563 / 256),
        "Apple RGB": rgb_profile(APPLE_POINTS, 1.8),
        "Rec. 2020": rgb_profile(BT2020_POINTS, BT709_CURVE, version=4),
        "Display P3": rgb_profile(P3_POINTS, SRGB_CURVE, version=4),
    }


SOLIDS = {
    "": (100, 0, 0), "c": (58, -38, -46), "m": (49, 77, -4), "y": (93, -6, 90), "k": (15, 0, 0),
    "cm": (25, 19, -47), "cy": (53, -67, 28), "my": (49, 70, 49), "cmy": (23, 0, 0),
    "ck": (11, -3, -4), "mk": (11, 6, 0), "yk": (14, -1, 6),
    "cmk": (6, 2, -5), "cyk": (9, -6, 2), "myk": (9, 7, 4), "cmyk": (4, 0, 0),
}  # fmt: skip
"""Lab of the solid inks on each other, relative to the paper: about those of SWOP."""
DOT_GAIN, YULE_NIELSEN = 0.75, 1.8
"""Exponent of the dot areas, which gives a gain of 10 % at half tones, and the exponent of the reflectances."""


def lab_to_xyz(lab: Doubles) -> Doubles:
    f = np.stack([(lab[..., 0] + 16) / 116 + lab[..., 1] / 500, (lab[..., 0] + 16) / 116], -1)
    f = np.concatenate([f, f[..., 1:] - lab[..., 2:] / 200], -1)
    xyz: Doubles = np.where(f > 6 / 29, f**3, (f - 4 / 29) * 108 / 841) * D50
    return xyz


def xyz_to_lab(values: Doubles) -> Doubles:
    ratio = np.maximum(values / D50, 0)
    f = np.where(ratio > 216 / 24389, np.cbrt(ratio), ratio * 841 / 108 + 4 / 29)
    return np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], -1)


def print_lab(inks: Doubles) -> Doubles:
    """Lab [n, 3] of inks [n, 4], each 0..1: a Yule-Nielsen mixture of the 16 solids."""
    areas = np.clip(inks, 0, 1) ** DOT_GAIN
    mixture = np.zeros((len(inks), 3))
    for name, lab in SOLIDS.items():
        shares = np.prod([areas[:, n] if ink in name else 1 - areas[:, n] for n, ink in enumerate("cmyk")], axis=0)
        mixture += shares[:, None] * np.maximum(lab_to_xyz(np.array(lab, float)), 0) ** (1 / YULE_NIELSEN)
    return xyz_to_lab(mixture**YULE_NIELSEN)


def with_black(cmy: Doubles) -> Doubles:
    """Inks [n, 4] of chromatic inks [n, 3]: black comes in where all three are above a third."""
    black = np.clip(cmy.min(1, keepdims=True) * 1.5 - 0.5, 0, 1) ** 1.5
    return np.concatenate([cmy, black], 1)


def inks_for(lab: Doubles) -> Doubles:
    """Inks [n, 4] that print nearest to Lab [n, 3]: the nearest of a grid, then damped Gauss-Newton steps."""
    grid = np.array(list(product(np.linspace(0, 1, 12), repeat=3)))
    prints = print_lab(with_black(grid))
    distances = (lab**2).sum(1)[:, None] - 2 * lab @ prints.T + (prints**2).sum(1)
    cmy = grid[distances.argmin(1)]
    best, error = cmy, np.linalg.norm(print_lab(with_black(cmy)) - lab, axis=1)
    for _ in range(12):
        here = print_lab(with_black(cmy))
        slopes = [(print_lab(with_black(cmy + step)) - here) / 0.01 for step in np.eye(3) * 0.01]
        jacobian = np.stack(slopes, -1)
        normal = jacobian.transpose(0, 2, 1) @ jacobian + 30 * np.eye(3)
        step = np.linalg.solve(normal, (jacobian.transpose(0, 2, 1) @ (lab - here)[..., None]))[..., 0]
        cmy = np.clip(cmy + np.clip(step, -0.2, 0.2), 0, 1)
        after = np.linalg.norm(print_lab(with_black(cmy)) - lab, axis=1)
        best, error = np.where((after < error)[:, None], cmy, best), np.minimum(after, error)
    return with_black(best)


def lut16(inputs: int, outputs: int, values: Doubles, points: int) -> bytes:
    """A lut16Type tag with linear curves and a grid of `points` a side: values 0..1 [points ** inputs, outputs]."""
    identity = [65536 if row == column else 0 for row in range(3) for column in range(3)]
    head = struct.pack(">4s4x4B9iHH", b"mft2", inputs, outputs, points, 0, *identity, 2, 2)
    grid = np.round(np.clip(values, 0, 1) * 65535).astype(">u2").tobytes()
    ramp = struct.pack(">2H", 0, 65535)
    return head + ramp * inputs + grid + ramp * outputs


@cache
def ink_profile(kind: bytes = b"prtr") -> bytes:
    """A press with tables in both directions; takes about a second."""
    inks = np.array(list(product(np.linspace(0, 1, 9), repeat=4)))
    # Lab in 16 bits of version 2: L 0..100 at 0..0xff00, a and b -128..127 at 0..0xff00.
    to_lab = (print_lab(inks) - (0, -128, -128)) / (100, 255, 255) * (0xFF00 / 0xFFFF)
    codes = np.array(list(product(np.linspace(0, 1, 17), repeat=3))) * (0xFFFF / 0xFF00)
    to_inks = inks_for(codes * (100, 255, 255) + (0, -128, -128))
    tags = {b"A2B0": lut16(4, 3, to_lab, 9), b"B2A0": lut16(3, 4, to_inks, 17)}
    return profile(tags, b"CMYK", kind=kind, pcs=b"Lab ")
