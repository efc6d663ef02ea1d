"""Looks: what is known of a picture, and of the things in it."""

from dataclasses import dataclass

from consumers.vision.keypoints import Keypoints
from consumers.vision.perceptual_hash import NO_HASH, PerceptualHash
from infra.array_types import Floats
from schemas.filters import ColourName
from schemas.results import Swatch
from schemas.searches import Crop


@dataclass(frozen=True, eq=False)
class Look:
    """Vector and attributes of a picture. `width` and `height` are those of the upright picture, or of its crop."""

    vector: Floats
    colours: tuple[ColourName, ...]
    palette: tuple[Swatch, ...]
    thumbnail: bytes | None
    width: int
    height: int
    studio: bool = False
    """Whether it is a studio picture; encoders treat the kinds differently, so scores are not comparable."""
    phash: PerceptualHash = NO_HASH
    """Perceptual hash of the picture, or of its crop."""
    labels: tuple[str, ...] = ()
    """Moderation labels that the moderator found in the picture."""
    moderator: str = ""
    """Name of the moderator; empty when the picture was not moderated."""
    keypoints: Keypoints | None = None
    """Keypoints of the picture, or of its crop; None if they were not looked for."""
    encoded_ms: float = 0.0
    """Time in milliseconds that the detector and the encoder took for the whole batch of this picture."""
    whole_view: Floats | None = None
    """Object part of the whole picture alone, without the second view; None for a picture of one view."""
    regions: tuple["RegionLook", ...] = ()
    """Things in the picture, if they were looked for."""


@dataclass(frozen=True, eq=False)
class RegionLook:
    """A thing in a picture: its box as shares of the picture, its objectness, 0 to 1, and its look."""

    box: Crop
    objectness: float
    look: Look
