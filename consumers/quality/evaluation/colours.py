"""Colour agreement: compares extracted colour names, and those of plain k-means, with the merchant's colours."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL.Image import Image, Resampling

from consumers.quality.evaluation.bootstrap import Estimate, differences, estimates
from consumers.quality.evaluation.labelled_dataset import LabelledImage
from consumers.quality.evaluation.merchant_colours import map_colour_word
from consumers.quality.evaluation.system_under_test import TrackProgress
from consumers.vision.colour import ColourExtractor
from infra.images.decode import DecodeLimits, decode
from schemas.failures import Rejected
from schemas.filters import ColourName

NameColours = Callable[[bytes], tuple[ColourName, ...]]
"""The colour names of an encoded picture, largest first; empty when it cannot be read."""


@dataclass(frozen=True)
class ColourNamers:
    """The colour extractor of the system, and the k-means baseline that it must beat, which gives one name."""

    extractor: NameColours
    baseline: NameColours


FIRST, ANY, BASELINE = "first", "any", "k-means"
SIDE, CLUSTERS, ROUNDS = 32, 5, 10
"""Of k-means: the side to which pictures are scaled, in pixels, the clusters, and the rounds."""


@dataclass(frozen=True)
class ColourAgreement:
    """Share of pictures whose first name, any name, or k-means name is the merchant's colour; `gain` is that of the
    first name over k-means. `unmapped` pictures have a colour word that maps to none of our names."""

    pictures: int
    unmapped: int
    share: dict[str, Estimate]
    gain: Estimate
    by_colour: dict[str, dict[str, float]]


def colour_namer(names_of: Callable[[Image], tuple[ColourName, ...]], limits: DecodeLimits) -> NameColours:
    """A function that decodes a picture and names its colours; it needs no encoder."""

    def name(picture: bytes) -> tuple[ColourName, ...]:
        try:
            return names_of(decode(picture, limits).image)
        except Rejected:
            return ()

    return name


def dominant_by_kmeans(image: Image, colours: ColourExtractor) -> ColourName:
    """The name of the centre of the largest of 5 clusters of an RGB picture's pixels; the seed is fixed."""
    pixels = np.asarray(image.resize((SIDE, SIDE), Resampling.BOX), np.float64).reshape(-1, 3)
    centres = pixels[np.random.default_rng(0).choice(len(pixels), CLUSTERS, replace=False)]
    for _ in range(ROUNDS):
        nearest = ((pixels[:, None] - centres) ** 2).sum(-1).argmin(1)
        centres = np.stack(
            [pixels[nearest == n].mean(0) if (nearest == n).any() else centres[n] for n in range(CLUSTERS)]
        )
    largest = centres[np.bincount(nearest, minlength=CLUSTERS).argmax()]
    red, green, blue = (round(channel) for channel in largest)
    return colours.colour_name(red, green, blue)


def colour_name_of(row: LabelledImage) -> str:
    """Our name for the table's colour; empty when there is none."""
    return map_colour_word(row.colour) or ""


def colour_agreement(
    rows: Sequence[LabelledImage], namers: ColourNamers, seed: int, track: TrackProgress
) -> ColourAgreement | None:
    """Compare the names of pictures with the colours in the table; None when no colour maps to one of our names."""
    labelled = [row for row in rows if row.colour]
    mapped = [row for row in labelled if colour_name_of(row)]
    if not mapped:
        return None
    matches = [_matches(row, namers) for row in track(mapped, "comparing colours", len(mapped))]
    values = {
        name: np.array([match[n] for match in matches], np.float64) for n, name in enumerate((FIRST, ANY, BASELINE))
    }
    gain = differences({FIRST: values[FIRST]}, {FIRST: values[BASELINE]}, seed)[FIRST]
    colours = np.array([colour_name_of(row) for row in mapped])
    by_colour = {
        str(colour): {"pictures": int(np.sum(colours == colour))}
        | {name: float(matched[colours == colour].mean()) for name, matched in values.items()}
        for colour in np.unique(colours)
    }
    return ColourAgreement(len(mapped), len(labelled) - len(mapped), estimates(values, seed), gain, by_colour)


def _matches(row: LabelledImage, namers: ColourNamers) -> tuple[bool, bool, bool]:
    """Whether the first name, any name, and the baseline's name are the merchant's colour."""
    picture, expected = row.read(), colour_name_of(row)
    names, baseline = namers.extractor(picture), namers.baseline(picture)
    return names[:1] == (expected,), expected in names, baseline[:1] == (expected,)
