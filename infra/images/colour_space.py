"""Colour spaces: builds the ICC profile of an RGB space that a file states by numbers instead of a profile."""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from infra.array_types import Doubles

Chromaticity = tuple[float, float]
"""CIE 1931 x and y."""
Primaries = tuple[Chromaticity, Chromaticity, Chromaticity, Chromaticity]
"""Chromaticities of red, green, blue and white."""
Transfer = Callable[[Doubles], Doubles]
"""Maps encoded samples 0..1 to linear light 0..1."""

D65, D50_XYZ = (0.3127, 0.3290), (0.9642, 1.0, 0.8249)
SRGB_PRIMARIES = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06), D65)

CICP_PRIMARIES: dict[int, Primaries] = {
    1: SRGB_PRIMARIES,
    5: ((0.64, 0.33), (0.29, 0.60), (0.15, 0.06), D65),
    6: ((0.63, 0.34), (0.31, 0.595), (0.155, 0.07), D65),
    7: ((0.63, 0.34), (0.31, 0.595), (0.155, 0.07), D65),
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), D65),
    11: ((0.68, 0.32), (0.265, 0.69), (0.15, 0.06), (0.314, 0.351)),
    12: ((0.68, 0.32), (0.265, 0.69), (0.15, 0.06), D65),
}
"""Colour primaries by their number in Rec. ITU-T H.273, table 2."""

UNSPECIFIED = 2
"""The number in H.273 of primaries and transfer functions that a file does not state."""
REFERENCE_WHITE_NITS = 203
"""Luminance of white in HDR pictures; what is brighter is clipped. Source: Report ITU-R BT.2408, table 1."""
HLG_REFERENCE_WHITE, HLG_SYSTEM_GAMMA = 0.265, 1.2
"""Scene light of an HLG signal of 75 %, which is white (BT.2408); exponent of a display of 1,000 nits (BT.2100)."""

BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
"""Cone responses of XYZ, by which a white point is adapted to D50. Source: ICC.1:2022, annex E."""
MAX_PROFILE_BYTES = 4_000_000
"""Larger profiles are passed over. Those of presses have 0.5 to 3 MB."""
CURVE_POINTS = 4096
HEADER_SIZE, TAG_COUNT_SIZE, TAG_ENTRY_SIZE = 128, 4, 12


@dataclass(frozen=True)
class ColourSpace:
    """An RGB space: the chromaticities of its primaries and white, and its transfer function."""

    primaries: Primaries
    transfer: Transfer


def power(exponent: float) -> Transfer:
    """The transfer function with linear light = sample ^ exponent."""
    return lambda samples: samples**exponent


def srgb_transfer(samples: Doubles) -> Doubles:
    """Source: IEC 61966-2-1."""
    return np.where(samples <= 0.04045, samples / 12.92, ((samples + 0.055) / 1.055) ** 2.4)


SRGB = ColourSpace(SRGB_PRIMARIES, srgb_transfer)
ADOBE_RGB = ColourSpace(((0.64, 0.33), (0.21, 0.71), (0.15, 0.06), D65), power(563 / 256))
"""Source: Adobe RGB (1998) Color Image Encoding, 2005."""


def _pq_transfer(samples: Doubles) -> Doubles:
    """Source: Rec. ITU-R BT.2100, table 4."""
    root = samples ** (1 / 78.84375)
    light = np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)
    linear: Doubles = np.minimum(light ** (1 / 0.1593017578125) * 10_000 / REFERENCE_WHITE_NITS, 1)
    return linear


def _hlg_transfer(samples: Doubles) -> Doubles:
    """Source: Rec. ITU-R BT.2100, table 5; the system gamma acts on each channel by itself."""
    scene = np.where(
        samples <= 0.5, samples**2 / 3, (np.exp((samples - 0.55991073) / 0.17883277) + 0.28466892) / 12
    )
    linear: Doubles = np.minimum((scene / HLG_REFERENCE_WHITE) ** HLG_SYSTEM_GAMMA, 1)
    return linear


CICP_TRANSFERS: dict[int, Transfer] = {
    **dict.fromkeys((1, UNSPECIFIED, 6, 11, 13, 14, 15), srgb_transfer),
    4: power(2.2),
    5: power(2.8),
    8: power(1.0),
    16: _pq_transfer,
    17: power(2.6),
    18: _hlg_transfer,
}
"""Transfer functions by their number in H.273, table 3.

That of BT.709 and BT.2020 (1, 6, 11, 14, 15) is the camera's; displays use an exponent of 2.4 instead. The function
of sRGB lies between the two, and most pictures with these numbers were sRGB before they were encoded."""


@lru_cache
def cicp_profile(primaries: int, transfer: int) -> bytes | None:
    """The ICC profile of two numbers of H.273; None if one of them is unknown here."""
    if primaries == UNSPECIFIED:
        primaries = 1
    if primaries not in CICP_PRIMARIES or transfer not in CICP_TRANSFERS:
        return None
    return icc_profile(ColourSpace(CICP_PRIMARIES[primaries], CICP_TRANSFERS[transfer]))


def icc_profile(space: ColourSpace) -> bytes | None:
    """An ICC profile, version 2, of about 9 kB; None if the primaries span no space. Source: ICC.1:2001-04."""
    colorants = _colorants(space.primaries)
    if colorants is None:
        return None
    samples = np.linspace(0, 1, CURVE_POINTS)
    levels = np.round(np.clip(space.transfer(samples), 0, 1) * 65535).astype(">u2")
    curve = struct.pack(">4s4xI", b"curv", CURVE_POINTS) + levels.tobytes()
    description = struct.pack(">4s4xI", b"desc", 1) + bytes(79)
    tags = {b"desc": description, b"wtpt": _xyz(np.array(D50_XYZ))}
    tags |= {name: _xyz(column) for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), colorants.T, strict=True)}
    return _assemble(tags | dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve))


def _colorants(primaries: Primaries) -> Doubles | None:
    """XYZ [3, 3] of red, green and blue in columns, adapted to D50; None if they span no space."""
    if any(y <= 0 or x < 0 or x + y > 1.0001 for x, y in primaries):
        return None
    columns = np.array([[x / y, 1, (1 - x - y) / y] for x, y in primaries]).T
    try:
        scaled = columns[:, :3] * np.linalg.solve(columns[:, :3], columns[:, 3])
    except np.linalg.LinAlgError:
        return None
    adaptation = np.diag((BRADFORD @ D50_XYZ) / (BRADFORD @ columns[:, 3]))
    adapted: Doubles = np.linalg.solve(BRADFORD, adaptation @ BRADFORD @ scaled)
    return adapted if np.all(np.abs(adapted) < 3) else None


def _xyz(values: Doubles) -> bytes:
    return struct.pack(">4s4x3i", b"XYZ ", *(round(float(value) * 65536) for value in values))


def _assemble(tags: dict[bytes, bytes]) -> bytes:
    """Header, tag table and tags of a display profile; equal tags are stored once."""
    offsets: dict[bytes, int] = {}
    body, start = b"", HEADER_SIZE + TAG_COUNT_SIZE + TAG_ENTRY_SIZE * len(tags)
    for content in tags.values():
        if content not in offsets:
            offsets[content] = start + len(body)
            body += content + bytes(-len(content) % 4)
    entries = (struct.pack(">4sII", name, offsets[content], len(content)) for name, content in tags.items())
    header = struct.pack(
        ">I4xI4s4s4s12x4s28x3i48x",
        start + len(body), 0x02400000, b"mntr", b"RGB ", b"XYZ ", b"acsp",
        *(round(value * 65536) for value in D50_XYZ),
    )  # fmt: skip
    return header + struct.pack(">I", len(tags)) + b"".join(entries) + body
