"""Named colours against a merchant's: how often ours agree, and how often those of plain k-means would."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL.Image import Image

from consumers.quality.evaluation.bootstrap import Estimate, differences, estimates
from consumers.quality.evaluation.labelled_dataset import LabelledImage
from consumers.quality.evaluation.merchant_colours import colour_named
from consumers.quality.evaluation.system_under_test import TrackProgress
from consumers.vision.decode import DecodeLimits, decode
from schemas.failures import Rejected
from schemas.filters import ColourName

NameColours = Callable[[bytes], tuple[ColourName, ...]]
"""The named colours of an encoded picture, largest first; empty when it cannot be read."""


@dataclass(frozen=True)
class ColourNamers:
    """Ours, and the plain one that it must beat, whose first name alone counts."""

    ours: NameColours
    baseline: NameColours


FIRST, ANY, BASELINE = "first", "any", "k-means"


@dataclass(frozen=True)
class ColourAgreement:
    """Share of pictures whose first name, any name, or k-means colour is the merchant's; `gain` is first's over
    k-means. `unmapped` pictures have a colour word that is none of ours."""

    pictures: int
    unmapped: int
    share: dict[str, Estimate]
    gain: Estimate
    by_colour: dict[str, dict[str, float]]


def colour_namer(names_of: Callable[[Image], tuple[ColourName, ...]], limits: DecodeLimits) -> NameColours:
    """Names the colours of encoded pictures; no encoder is needed."""

    def name(picture: bytes) -> tuple[ColourName, ...]:
        try:
            return names_of(decode(picture, limits).image)
        except Rejected:
            return ()

    return name


def our_colour_of(row: LabelledImage) -> str:
    """The table's colour in our words; empty when we have none for it."""
    return colour_named(row.colour) or ""


def colour_agreement(
    rows: Sequence[LabelledImage], namers: ColourNamers, seed: int, track: TrackProgress
) -> ColourAgreement | None:
    """How the names of pictures agree with the colours in the table; None when it has none of ours."""
    labelled = [row for row in rows if row.colour]
    known = [row for row in labelled if our_colour_of(row)]
    if not known:
        return None
    seen = [_agrees(row, namers) for row in track(known, "comparing colours", len(known))]
    values = {name: np.array([one[n] for one in seen], np.float64) for n, name in enumerate((FIRST, ANY, BASELINE))}
    gain = differences({FIRST: values[FIRST]}, {FIRST: values[BASELINE]}, seed)[FIRST]
    words = np.array([our_colour_of(row) for row in known])
    by_colour = {
        str(word): {"pictures": int(np.sum(words == word))}
        | {name: float(found[words == word].mean()) for name, found in values.items()}
        for word in np.unique(words)
    }
    return ColourAgreement(len(known), len(labelled) - len(known), estimates(values, seed), gain, by_colour)


def _agrees(row: LabelledImage, namers: ColourNamers) -> tuple[bool, bool, bool]:
    """Whether the first name, any name, and the baseline's are the merchant's."""
    picture, wanted = row.path.read_bytes(), our_colour_of(row)
    names, plain = namers.ours(picture), namers.baseline(picture)
    return names[:1] == (wanted,), wanted in names, plain[:1] == (wanted,)
