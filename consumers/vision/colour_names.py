"""Colour names: gives each colour a name, and the votes with which it names the colours of a picture."""

from dataclasses import dataclass
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from consumers.vision.cielab import ciede2000, to_lab
from infra.array_types import Floats
from schemas.filters import ColourName

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
"""sRGB prototypes of each name. A colour has the name of the nearest prototype by CIEDE2000.

They were chosen by eye; the fit then moved them by 2 in Lab on average."""

SKIN: dict[ColourName, str] = {"beige": "e1b191 c89677 f0cdb0 d8a987 ba8969", "brown": "ab795a 89583e"}
"""Skin prototypes: products are often worn by people."""

VOTE_WEIGHTS: dict[ColourName, float] = {
    "black": 1.32, "white": 1.19, "grey": 0.46, "red": 1.47, "orange": 1.04, "yellow": 1.43, "green": 1.73,
    "teal": 0.46, "blue": 2.68, "navy": 1.67, "purple": 1.69, "pink": 1.14, "brown": 0.87, "beige": 0.52,
}  # fmt: skip
SKIN_VOTE_WEIGHT = 0.17
VOTE_SIGMA = 2.5
"""Votes: a pixel is shared among the prototypes near its colour in proportion to exp(-d^2 / 2 VOTE_SIGMA^2), where
d is the CIEDE2000 distance, and each share is multiplied by the vote weight of the prototype's name.

Grey and beige are mostly shadow, sole, metal and skin, so their weights are low; an all-grey object is still grey.
The prototypes, then the vote weights and the position weights of foreground.py, were fitted by maximum likelihood
on about 11,000 products, for each of which a merchant had named one colour. Both kinds of weights were then
flattened (power 0.75) without loss. Another tenth of the products was held out; all figures are on that tenth.
"""

NEAREST_PROTOTYPES = 12


@dataclass(frozen=True, eq=False)
class NameTable:
    """For n colours: the index of the name in NAMES [n], and the votes for all names [n, 14]."""

    names: NDArray[np.uint8]
    votes: Floats


def name_table(lab: Floats) -> NameTable:
    """Compute the names and votes of Lab colours [n, 3]; takes about 8 microseconds per colour."""
    prototypes = _prototypes()
    # CIEDE2000 is slow, so it ranks only the dozen prototypes that are nearest by Euclidean distance.
    candidates = _smallest(squared_distances(lab, prototypes.lab), NEAREST_PROTOTYPES)
    distance = ciede2000(lab[:, None], prototypes.lab[candidates])
    nearest = np.take_along_axis(candidates, distance.argmin(1)[:, None], 1)[:, 0]
    weighted_shares = soft_assignment(distance**2, VOTE_SIGMA) * prototypes.vote_weights[candidates]
    votes = np.zeros((len(lab), len(NAMES)), np.float32)
    np.add.at(votes, (np.arange(len(lab))[:, None], prototypes.names[candidates]), weighted_shares)
    return NameTable(prototypes.names[nearest], votes)


def _smallest(rows: Floats, count: int) -> NDArray[np.intp]:
    """Indices of the `count` smallest values per row, [n, count]; np.argpartition is half as fast for so few."""
    remaining, indices = rows.copy(), np.empty((len(rows), count), np.intp)
    row_numbers = np.arange(len(rows))
    for n in range(count):
        indices[:, n] = remaining.argmin(1)
        remaining[row_numbers, indices[:, n]] = np.inf
    return indices


@dataclass(frozen=True, eq=False)
class _Prototypes:
    lab: Floats
    names: NDArray[np.uint8]
    vote_weights: Floats


def _prototypes() -> _Prototypes:
    ordinary = [(code, name, VOTE_WEIGHTS[name]) for name, codes in PROTOTYPES.items() for code in codes.split()]
    skin = [(code, name, SKIN_VOTE_WEIGHT) for name, codes in SKIN.items() for code in codes.split()]
    codes, names, vote_weights = zip(*ordinary, *skin, strict=True)
    rgb = np.array([list(bytes.fromhex(code)) for code in codes], np.uint8)
    name_indices = np.array([NAMES.index(name) for name in names], np.uint8)
    return _Prototypes(to_lab(rgb), name_indices, np.array(vote_weights, np.float32))


def squared_distances(first: Floats, second: Floats) -> Floats:
    """Squared Euclidean distances between two sets of Lab colours [n, 3] and [m, 3]: [n, m]."""
    distances: Floats = (first**2).sum(1)[:, None] - 2 * first @ second.T + (second**2).sum(1)
    return distances


def soft_assignment(squared: Floats, sigma: float) -> Floats:
    """Gaussian weights exp(-squared / 2 sigma^2) of squared distances [n, m], normalised so that rows sum to 1."""
    kernel = np.exp(-(squared - squared.min(1, keepdims=True)) / (2 * sigma**2))
    shares: Floats = (kernel / kernel.sum(1, keepdims=True)).astype(np.float32)
    return shares
