"""Colour extraction: computes the colour names, swatches and histogram of a picture, weighted to its foreground."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image

from consumers.vision.cielab import to_lab
from consumers.vision.colour_names import NAMES, NameTable, name_table, soft_assignment, squared_distances
from consumers.vision.foreground import foreground
from consumers.vision.picture_frames import crop_frames
from infra.array_types import Floats
from infra.images.resize import Overview
from schemas.filters import ColourName
from schemas.results import Swatch

ColourCodes = NDArray[np.intp]

SHADE_BINS = 50
SHADE_SIGMA = 13.0
"""Number of soft bins in Lab space, and the standard deviation in Lab that spreads a colour over them."""
COLOUR_SIZE = len(NAMES) + SHADE_BINS
"""Dimensions of the colour part, 64: half of its weight is on names and half on shades.

Names alone would not distinguish two reds; shades alone found a tenth fewer products of the merchant's colour."""
MIN_NAME_SHARE = 0.15
"""Minimum share of the votes for a name; the first name needs none."""
MAX_NAMES = 3
MIN_SWATCH_SHARE = 0.03
MAX_SWATCHES = 5


@dataclass(frozen=True, eq=False)
class ColourFacts:
    """Colour names as a person would give them, best first; palette of swatches, largest first.

    `histogram` is float32 [64] of unit length: the square roots of the votes of the names and of the soft Lab bins.
    """

    names: tuple[ColourName, ...]
    palette: tuple[Swatch, ...]
    histogram: Floats


@dataclass(frozen=True, eq=False)
class ColourExtractor:
    """Lookup tables over 32 x 32 x 32 sRGB bins: Lab [32768, 3], names and votes, shares of shades [32768, 50]."""

    lab: Floats
    table: NameTable
    shares: Floats

    def extract(self, image: Image, reduced: Overview | None = None) -> ColourFacts:
        """Extract the colours of an RGB picture inside its frames; `reduced` is its overview, if it is at hand."""
        rgb = crop_frames(image, reduced)[1].coarse
        codes = _codes(rgb)
        weights, codes = foreground(self.lab[codes]).ravel(), codes.ravel()
        votes = weights @ self.table.votes[codes]
        votes /= votes.sum()
        # Square roots of shares have unit length, and their dot product is the Bhattacharyya coefficient.
        histogram = np.sqrt(np.concatenate([votes, weights @ self.shares[codes]]) / 2)
        palette = _swatches(rgb.reshape(-1, 3), self.table.names[codes], weights)
        return ColourFacts(_dominant_names(votes), palette, histogram.astype(np.float32))

    def colour_name(self, red: int, green: int, blue: int) -> ColourName:
        """The name of one sRGB colour, each channel 0..255."""
        return NAMES[self.table.names[_codes(np.array([red, green, blue], np.uint8))]]


def make_colour_extractor() -> ColourExtractor:
    """Build the lookup tables; takes about 0.4 s, so build them once and pass them on."""
    bin_centres = np.arange(32, dtype=np.float64) * 8 + 4
    rgb = np.stack(np.meshgrid(bin_centres, bin_centres, bin_centres, indexing="ij"), axis=-1).reshape(-1, 3)
    lab = to_lab(rgb)
    return ColourExtractor(lab, name_table(lab), _shade_shares(lab))


def _codes(rgb: NDArray[np.uint8]) -> ColourCodes:
    """Bin indices 0..32767 of sRGB colours [..., 3]."""
    red, green, blue = np.moveaxis(rgb.astype(np.intp) >> 3, -1, 0)
    codes: ColourCodes = (red << 10) | (green << 5) | blue
    return codes


def _dominant_names(votes: Floats) -> tuple[ColourName, ...]:
    """The names with at least MIN_NAME_SHARE of the votes, at most MAX_NAMES, most votes first."""
    ranking = np.argsort(-votes, kind="stable")
    dominant = [n for n in ranking if votes[n] >= MIN_NAME_SHARE] or ranking[:1]
    return tuple(NAMES[n] for n in dominant[:MAX_NAMES])


def _swatches(rgb: NDArray[np.uint8], names: NDArray[np.uint8], weights: Floats) -> tuple[Swatch, ...]:
    """For each name with at least MIN_SWATCH_SHARE of the pixels, the mean of its pixels; largest share first."""
    shares = np.bincount(names, weights, len(NAMES))
    sums = np.stack([np.bincount(names, weights * rgb[:, c], len(NAMES)) for c in range(3)], axis=1)
    largest = [n for n in np.argsort(-shares, kind="stable") if shares[n] >= MIN_SWATCH_SHARE]
    chosen = largest[:MAX_SWATCHES]
    means = np.round(sums[chosen] / shares[chosen, np.newaxis]).astype(np.uint8)
    labs = np.round(to_lab(means).astype(np.float64), 1).tolist()
    return tuple(
        Swatch(
            hex="#" + bytes(mean).hex(), lab=tuple(lab), name=NAMES[n], share=min(round(float(shares[n]), 4), 1.0)
        )
        for n, mean, lab in zip(chosen, means, labs, strict=True)
    )


def _shade_shares(lab: Floats) -> Floats:
    """Soft assignment of colours to 50 centres: 5 lightnesses x (grey, 3 pale hues, 6 vivid hues)."""
    rings = [(0.0, 1), (24.0, 3), (54.0, 6)]
    hues = [(c * np.cos(t), c * np.sin(t)) for c, n in rings for t in np.arange(n) * 2 * np.pi / n]
    centres = np.array([(light, a, b) for light in (10, 32, 54, 76, 96) for a, b in hues], np.float32)
    return soft_assignment(squared_distances(lab, centres), SHADE_SIGMA)
