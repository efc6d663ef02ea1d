"""The colours of a picture: names, swatches and a histogram, weighted towards what stands in front."""

from dataclasses import dataclass
from typing import get_args

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image, Resampling

from consumers.vision.lab import ciede2000, to_lab
from schemas.searches import ColourName, Swatch

Floats = NDArray[np.float32]
Codes = NDArray[np.intp]

COLOUR_SIZE = 64
SIDE = 64
"""Pixels of the square that colours are counted on."""

NAMED_SHARE = 0.15
"""A name counts when it covers this share of the foreground; the largest always counts."""
MOST_NAMES = 3
SWATCH_SHARE = 0.03
MOST_SWATCHES = 5

NAMES: tuple[ColourName, ...] = get_args(ColourName)

PROTOTYPES: dict[ColourName, str] = {
    "black": "000000 121212 1c1a1c 241f20 1a1e22 2c2c2c 343434",
    "white": "ffffff f6f6f6 ebebeb e4e6e8 f4f4ee dcdcdc d8dade",
    "grey": "565656 707070 8c8c8c a6a6a6 b8b8b8 66686c 8a8e92 a8acb0",
    "red": "ff0000 d40000 c0202c a00014 8a1020 6e0f1c e03a3a b83a40 8e4047 bc5352 642830",
    "orange": "ff8000 ffa030 e8701a f05a22 ff7f50 d8641e f4a04a e28258 d88a50",
    "yellow": "ffff00 ffd800 e6c81e fff380 d2b418 f4dc6e e3c96b c49a3c",
    "green": "00ff00 008000 2e8b57 6b8e23 556b2f 90ee90 004a1c 9acd32 8fae84 22401f 4e5a32 b8d896 7a8450 666351 "
    "485040 779b7f",
    "teal": "008080 20b2aa 40e0d0 005a5f 00ced1 84d8d0 0c4c54 3c8c90 3b696a 74b4a9",
    "blue": "0000ff 1e90ff 3c64dc 87ceeb b4d6ec 4682b4 6495ed 5a7ea8 3a5a94 2048a8 7896be 9fb8d4 00a0e6 647f9e "
    "506478 8ea0b4",
    "navy": "000080 16165c 1b2748 24304e 101834 2c3654 1e2c60 393f51 2c3240 485068",
    "purple": "800080 8a2be2 9370db 4b0082 b48cd2 cdb2e4 5a2a5a 6a4a8c 7e5c96 3c2450 7a5278 9a8aa4 4c3e54",
    "pink": "ffc0cb ff69b4 ff1493 f08ca0 e6a4b4 d2648c c71585 ff00ff f6d2da d69aa6 f47c7c d2848a b87888",
    "brown": "8b4513 654321 a0522d 5a3a22 3c2819 785a3c 94704c 6c4a3a 4a3428 8a6248 775e4a 5c4c42 463a34",
    "beige": "f5ecd7 d2b48c e8dcc0 c8ae8c e6d0b0 ded2be bea888 f0d8b8 d8bca0 ccc0aa b7a389 a89880",
}
CANDIDATES = 12
"""What each name covers: sRGB colours picked by eye, several for each name. A colour's name is that of the nearest
one by CIEDE2000; checked against the labels of catalogue photos (tests/evaluation/evaluate.py)."""

BACKGROUND_DISTANCE, FOREGROUND_DISTANCE = 6.0, 22.0
"""CIE76 distances to the border's colour: below the first it is background, above the second foreground."""
UNIFORM = 0.6
"""Share of border pixels near the border's median from which the border counts as a plain background."""
ENCLOSED = 0.35
"""Weight of background-coloured pixels that the foreground encloses: the inside of a white shirt on white."""
ELSEWHERE = 0.01


@dataclass(frozen=True, eq=False)
class ColourFacts:
    """Named colours and swatches, largest first; `histogram` is float32 [64] of unit length."""

    names: tuple[ColourName, ...]
    palette: tuple[Swatch, ...]
    histogram: Floats


@dataclass(frozen=True, eq=False)
class Colours:
    """Tables over 32 x 32 x 32 sRGB bins: Lab [32768, 3], name index [32768], histogram shares [32768, 64]."""

    lab: Floats
    names: NDArray[np.uint8]
    shares: Floats

    def of(self, image: Image) -> ColourFacts:
        """The colours of an RGB picture."""
        rgb = np.asarray(image.resize((SIDE, SIDE), Resampling.BOX, reducing_gap=2.0))
        codes = _codes(rgb)
        weights = _foreground(self.lab[codes]).ravel()
        weights /= weights.sum()
        swatches = self._swatches(rgb.reshape(-1, 3), self.names[codes.ravel()], weights)
        names = [one.name for one in swatches if one.share >= NAMED_SHARE] or [swatches[0].name]
        counted = weights @ self.shares[codes.ravel()]
        # Square roots of shares have unit length, and their dot product is the Bhattacharyya coefficient.
        histogram = np.sqrt(counted / counted.sum()).astype(np.float32)
        return ColourFacts(tuple(names[:MOST_NAMES]), tuple(swatches[:MOST_SWATCHES]), histogram)

    def name_of(self, red: int, green: int, blue: int) -> ColourName:
        """The name of one sRGB colour, each channel 0..255."""
        return NAMES[self.names[_codes(np.array([red, green, blue], np.uint8))]]

    def _swatches(self, rgb: NDArray[np.uint8], names: NDArray[np.uint8], weights: Floats) -> list[Swatch]:
        shares = np.bincount(names, weights, len(NAMES))
        sums = np.stack([np.bincount(names, weights * rgb[:, c], len(NAMES)) for c in range(3)], axis=1)
        largest = [n for n in np.argsort(-shares, kind="stable") if shares[n] >= SWATCH_SHARE]
        return [_swatch(NAMES[n], sums[n] / shares[n], shares[n]) for n in largest]


def _swatch(name: ColourName, rgb: NDArray[np.float64], share: float) -> Swatch:
    red, green, blue = (round(channel) for channel in rgb)
    return Swatch(hex=f"#{red:02x}{green:02x}{blue:02x}", name=name, share=min(round(float(share), 4), 1.0))


def _codes(rgb: NDArray[np.uint8]) -> Codes:
    red, green, blue = np.moveaxis(rgb.astype(np.intp) >> 3, -1, 0)
    codes: Codes = (red << 10) | (green << 5) | blue
    return codes


def _foreground(lab: Floats) -> Floats:
    """How much each pixel of [h, w, 3] counts: centre Gaussian, times distance from a plain border's colour."""
    height, width = lab.shape[:2]
    y, x = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)[None, :]
    centre = np.exp(-(x**2 + y**2) / (2 * 0.6**2)).astype(np.float32)
    border = np.concatenate([lab[0], lab[-1], lab[1:-1, 0], lab[1:-1, -1]])
    ground = np.median(border, axis=0)
    if np.mean(np.linalg.norm(border - ground, axis=1) < BACKGROUND_DISTANCE * 2) < UNIFORM:
        return centre
    distance = np.linalg.norm(lab - ground, axis=2)
    front = np.clip((distance - BACKGROUND_DISTANCE) / (FOREGROUND_DISTANCE - BACKGROUND_DISTANCE), 0, 1)
    enclosed = np.where(_enclosed(distance > BACKGROUND_DISTANCE), ENCLOSED, ELSEWHERE)
    weights: Floats = centre * np.maximum(front, enclosed)
    return weights


def _enclosed(front: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels with foreground on all four sides: to the left, right, above and below."""
    either = [
        np.logical_or.accumulate(front, axis=axis)
        & np.flip(np.logical_or.accumulate(np.flip(front, axis), axis), axis)
        for axis in (0, 1)
    ]
    return either[0] & either[1]


def make_colours() -> Colours:
    """The tables, made once and handed down; takes about a quarter of a second."""
    steps = np.arange(32, dtype=np.float64) * 8 + 4
    rgb = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3)
    lab = to_lab(rgb)
    return Colours(lab, _nearest_names(lab), _histogram_shares(lab))


def _nearest_names(lab: Floats) -> NDArray[np.uint8]:
    pairs = [(n, bytes.fromhex(code)) for n, name in enumerate(NAMES) for code in PROTOTYPES[name].split()]
    prototypes = to_lab(np.array([list(code) for _, code in pairs], np.uint8))
    # CIEDE2000 is slow: it settles the order of the dozen that plain distance finds nearest.
    near = np.argpartition(_squares(lab, prototypes), CANDIDATES, axis=1)[:, :CANDIDATES]
    best = ciede2000(lab[:, None], prototypes[near]).argmin(1)
    nearest = np.take_along_axis(near, best[:, None], 1)[:, 0]
    return np.array([n for n, _ in pairs], np.uint8)[nearest]


def _squares(some: Floats, others: Floats) -> Floats:
    """Squared distances of two sets of Lab colours, [n, m]."""
    squares: Floats = (some**2).sum(1)[:, None] - 2 * some @ others.T + (others**2).sum(1)
    return squares


def _histogram_shares(lab: Floats) -> Floats:
    """Each colour shared out softly among 64 centres: 4 lightnesses x (grey, 5 pale hues, 10 vivid hues)."""
    rings = [(0.0, 1), (26.0, 5), (58.0, 10)]
    hues = [(c * np.cos(t), c * np.sin(t)) for c, n in rings for t in np.arange(n) * 2 * np.pi / n]
    centres = np.array([(light, a, b) for light in (14, 40, 66, 92) for a, b in hues], np.float32)
    square = _squares(lab, centres)
    closeness = np.exp(-(square - square.min(1, keepdims=True)) / (2 * 12.0**2))
    shares: Floats = (closeness / closeness.sum(1, keepdims=True)).astype(np.float32)
    return shares
