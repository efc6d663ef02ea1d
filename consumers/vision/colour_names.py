"""Which name each colour has, and how it votes where the colours of a picture are named."""

from dataclasses import dataclass
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from consumers.vision.cielab import ciede2000, to_lab
from schemas.filters import ColourName

Floats = NDArray[np.float32]

NAMES: tuple[ColourName, ...] = get_args(ColourName)

PROTOTYPES: dict[ColourName, str] = {
    "black": "000000 130f0d 151c1c 1d2123 1b2120 2d3031 474648",
    "white": "fffffe fdf4f3 f3ebea e5e3e1 f8fcf5 e1dbd7 dadad8",
    "grey": "50575a 6d6f70 8d8c8a aaa7a3 c1bbb8 646667 8b8e93 afb6b8",
    "red": "ff0202 d40000 c01d2d a00014 8a0e21 6f0f1d e43b3d b8393e 8b444a be5a58 672c36",
    "orange": "ff8103 ffa234 e9701b ed5821 ff7e50 d6611e f8a34e e38059 dd8d54",
    "yellow": "ffff01 ffd800 e7c81e fff382 d4b41a f5dd71 e3cd6f c49637",
    "green": "00ff00 008000 2d8a56 6c8e23 556b2f 8eed90 004a1c 9fcf34 98b995 244022 4c542e b2d492 7b8550 6a604a "
    "41594a 6d9e8c",
    "teal": "007f7f 26bab3 3de0d1 005a60 00ced1 7cd3cc 004c55 2d8387 386b6d 73b7ac",
    "blue": "0000ff 1c90fe 3a64dc 78c5db aedcea 4582b4 6495ed 597da7 3f5086 1d48a8 7796be a5bad7 00a0e6 597894 "
    "3c495e 91a3ba",
    "navy": "000080 16165c 192647 222c4a 121830 2c314f 1b285b 2e3a4c 233040 4b5871",
    "purple": "800080 8a2ce2 9270db 4b0182 b38bd1 cab3e3 5a2959 6a4a8b 7f5b95 3b1f47 7b5379 a48da6 513c53",
    "pink": "fec0cc ff69b4 ff1493 f08ba0 e6a4b3 c25476 c1037e ff03ff fad5da d69ba6 f87f81 d3858b ba7789",
    "brown": "8b4514 654321 a45232 5b3822 37261a 795a3c 9e7b57 694336 483428 896246 76634e 584a3f 463a31",
    "beige": "f9ead6 ceb289 ebdbc2 c6ae8b e6d0b1 e2d3bf bfa888 f1d8ba d4bc9f d0c1aa baa48a a5947a",
}
"""What each name covers: sRGB colours, several for each name. A colour's name is that of the nearest by CIEDE2000.

Picked by eye, then moved by 2 in Lab on average when they were fitted."""

SKIN: dict[ColourName, str] = {"beige": "e1b191 c89677 f0cdb0 d8a987 ba8969", "brown": "ab795a 89583e"}
"""Colours of people, who often wear what is sold."""

LOUDNESS: dict[ColourName, float] = {
    "black": 1.32, "white": 1.19, "grey": 0.46, "red": 1.47, "orange": 1.04, "yellow": 1.43, "green": 1.73,
    "teal": 0.46, "blue": 2.68, "navy": 1.67, "purple": 1.69, "pink": 1.14, "brown": 0.87, "beige": 0.52,
}  # fmt: skip
SKIN_LOUDNESS = 0.17
SOFTNESS = 2.5
"""Votes: a pixel is shared out among the names near its colour, as exp(-d^2 / 2 SOFTNESS^2) of the CIEDE2000
distance, and each share counts by the loudness of its prototype's name.

Grey and beige are mostly shadow, sole, metal and skin, so they speak softly; a thing all grey is still grey.
The prototypes, then loudness and the places of foreground.py, were fitted by maximum likelihood on some 11,000
products, for each of which a merchant named one colour; loudness and places were then softened (power .75), which
cost nothing. Another tenth of the products was left out of the fit, and figures are told of that tenth."""

CANDIDATES = 12


@dataclass(frozen=True, eq=False)
class NameTable:
    """For each of n colours: the index of its name in NAMES [n], and its votes for each of them [n, 14]."""

    names: NDArray[np.uint8]
    votes: Floats


def name_table(lab: Floats) -> NameTable:
    """The names of Lab colours [n, 3]; takes about 8 microseconds a colour."""
    prototypes = _prototypes()
    # CIEDE2000 is slow: it settles the order of the dozen that plain distance finds nearest.
    near = _smallest(squares(lab, prototypes.lab), CANDIDATES)
    distance = ciede2000(lab[:, None], prototypes.lab[near])
    nearest = np.take_along_axis(near, distance.argmin(1)[:, None], 1)[:, 0]
    closeness = softly(distance**2, SOFTNESS) * prototypes.loudness[near]
    votes = np.zeros((len(lab), len(NAMES)), np.float32)
    np.add.at(votes, (np.arange(len(lab))[:, None], prototypes.names[near]), closeness)
    return NameTable(prototypes.names[nearest], votes)


def _smallest(rows: Floats, count: int) -> NDArray[np.intp]:
    """Where the `count` smallest of each row are, [n, count]; np.argpartition takes twice as long for so few."""
    left, found = rows.copy(), np.empty((len(rows), count), np.intp)
    each = np.arange(len(rows))
    for n in range(count):
        found[:, n] = left.argmin(1)
        left[each, found[:, n]] = np.inf
    return found


@dataclass(frozen=True, eq=False)
class _Prototypes:
    lab: Floats
    names: NDArray[np.uint8]
    loudness: Floats


def _prototypes() -> _Prototypes:
    plain = [(code, name, LOUDNESS[name]) for name, codes in PROTOTYPES.items() for code in codes.split()]
    skin = [(code, name, SKIN_LOUDNESS) for name, codes in SKIN.items() for code in codes.split()]
    codes, names, loudness = zip(*plain, *skin, strict=True)
    rgb = np.array([list(bytes.fromhex(code)) for code in codes], np.uint8)
    indexes = np.array([NAMES.index(name) for name in names], np.uint8)
    return _Prototypes(to_lab(rgb), indexes, np.array(loudness, np.float32))


def squares(some: Floats, others: Floats) -> Floats:
    """Squared distances of two sets of Lab colours, [n, m]."""
    found: Floats = (some**2).sum(1)[:, None] - 2 * some @ others.T + (others**2).sum(1)
    return found


def softly(square: Floats, softness: float) -> Floats:
    """One of each row of squared distances, shared out among all: the nearer, the more; rows sum to 1."""
    closeness = np.exp(-(square - square.min(1, keepdims=True)) / (2 * softness**2))
    shares: Floats = (closeness / closeness.sum(1, keepdims=True)).astype(np.float32)
    return shares
