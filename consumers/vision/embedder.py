"""The look of a picture: what it is a picture of, its texture and its colours, as one vector.

look = [object | style | colour]      each part of unit length
query = the same, each part times its weight, so that a dot product is the weighted sum of cosines
"""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image

from consumers.vision.colour import COLOUR_SIZE, ColourExtractor, ColourFacts
from consumers.vision.crops import Box, focus_on
from consumers.vision.decode import CropRegion, DecodedImage, DecodeLimits, decode, thumbnail
from consumers.vision.perceptual_hash import NO_HASH, PerceptualHash, perceptual_hash
from schemas.failures import Code, Failure, Rejected
from schemas.filters import ColourName
from schemas.ranking import Weights
from schemas.results import Swatch
from schemas.searches import Crop

UNIT_TOLERANCE = 0.01
"""How far from 1 the length of a part may be: encoders may round to 8 bits of mantissa."""

Pixels = NDArray[np.uint8] | NDArray[np.float32]
Vector = NDArray[np.float32]
Decode = Callable[[bytes, DecodeLimits, CropRegion | None], DecodedImage]
"""Encoded bytes to a picture, or the part of it; raises Rejected."""


class EncoderInput(NamedTuple):
    """A picture as the encoder is shown it: its prepared views, and whether it is a studio picture."""

    views: tuple[Pixels, ...]
    studio: bool


class Encoder(Protocol):
    """What turns pictures into vectors; tests/contracts/test_encoder_contract.py holds every one to it."""

    @property
    def fingerprint(self) -> str:
        """Model and hash of all that shapes its vectors; vectors of two fingerprints do not compare."""

    @property
    def object_size(self) -> int:
        """Dimensions of the object part, the first of a vector."""

    @property
    def style_size(self) -> int:
        """Dimensions of the style part, which follows."""

    @property
    def prepare(self) -> Callable[[Image, Box], Pixels]:
        """A part of an upright RGB picture to pixels, all of one shape; callable from many threads."""

    def run(self, batch: Sequence[EncoderInput], /) -> Vector:
        """float32 [N, object_size + style_size] of N pictures with one view or more; both parts of unit length."""


@dataclass(frozen=True, eq=False)
class Look:
    """What one picture looks like. `width` and `height` are those of the upright picture, or of its crop."""

    vector: Vector
    colours: tuple[ColourName, ...]
    palette: tuple[Swatch, ...]
    thumbnail: bytes | None
    width: int
    height: int
    studio: bool = False
    """Whether it is a studio picture; encoders treat the two kinds differently, so scores do not compare."""
    phash: PerceptualHash = NO_HASH
    """Perceptual hash of the picture, or of its crop."""
    labels: tuple[str, ...] = ()
    """The moderation labels that a moderator has seen in it."""
    moderator: str = ""
    """Who has; nobody when it is empty."""
    encoded_ms: float = 0.0
    """How long the encoder took for the batch that it was in."""


@dataclass(frozen=True)
class _EncodedImage:
    """A picture before its vector is known."""

    shown: EncoderInput
    facts: ColourFacts
    thumbnail: bytes | None
    width: int
    height: int
    phash: PerceptualHash
    labels: tuple[str, ...]


class ImageModerator(Protocol):
    """Looks for what not everybody shall see; consumers.embedding.moderation has one."""

    @property
    def name(self) -> str:
        """Tells it from others; empty when nobody looks."""

    def labels(self, picture: Image, /) -> tuple[str, ...]:
        """The moderation labels of an upright RGB picture; raises Failure. It is called from many threads."""


class _NoModerator:
    """A moderator that sees nothing."""

    name = ""

    def labels(self, _picture: Image) -> tuple[str, ...]:
        """No labels."""
        return ()


NO_MODERATOR: ImageModerator = _NoModerator()


@dataclass(frozen=True)
class ImageEmbedder:
    """All that it takes to look at pictures; `pool` decodes them side by side, for PIL lets go of the GIL.

    Workers hand in a `decode` that pictures cannot harm (consumers/embedding/decode_pool.py).
    """

    encoder: Encoder
    colours: ColourExtractor
    limits: DecodeLimits
    pool: Executor
    decode: Decode = decode
    moderator: ImageModerator = NO_MODERATOR

    def look_at(self, pictures: Sequence[bytes], crops: Sequence[Crop | None] = ()) -> list[Look | Failure]:
        """A look, or why there is none, for each picture; one bad picture never fails the others.

        `crops` is empty or has one entry for each picture. The encoder runs once for all of them.
        """
        parts = zip(pictures, crops or [None] * len(pictures), strict=True)
        seen = list(self.pool.map(lambda part: self._see(*part), parts))
        good = [one for one in seen if isinstance(one, _EncodedImage)]
        started = time.perf_counter()
        vectors = iter(self.encoder.run([one.shown for one in good]) if good else ())
        took = (time.perf_counter() - started) * 1000
        return [one if isinstance(one, Failure) else self._finish(one, next(vectors), took) for one in seen]

    def _see(self, data: bytes, crop: Crop | None) -> _EncodedImage | Failure:
        try:
            picture = self.decode(data, self.limits, crop)
            labels = self.moderator.labels(picture.image)
        except Failure as failure:
            return failure
        image, side = picture.image, self.limits.thumbnail
        small = thumbnail(image, side) if side else None
        focus = focus_on(image)
        shown = EncoderInput(tuple(self.encoder.prepare(image, box) for box in focus.boxes), focus.studio)
        size, phash = (picture.width, picture.height), perceptual_hash(image)
        return _EncodedImage(shown, self.colours.of(image), small, *size, phash, labels)

    def _finish(self, seen: _EncodedImage, encoded: Vector, took: float) -> Look | Failure:
        vector = np.concatenate([encoded, seen.facts.histogram]).astype(np.float32)
        if not _has_unit_parts(vector, self.encoder):
            message = "the encoder gave no vector of numbers and unit length for the picture: send another one"
            return Rejected(Code.VECTOR_INVALID, message)
        return Look(
            vector=vector,
            colours=seen.facts.names,
            palette=seen.facts.palette,
            thumbnail=seen.thumbnail,
            width=seen.width,
            height=seen.height,
            studio=seen.shown.studio,
            phash=seen.phash,
            labels=seen.labels,
            moderator=self.moderator.name,
            encoded_ms=took,
        )


def _has_unit_parts(vector: Vector, encoder: Encoder) -> bool:
    """Whether object, style and colour are each of unit length, or of zeros alone, and so all of them numbers."""
    parts = np.split(vector.astype(np.float64), [encoder.object_size, encoder.object_size + encoder.style_size])
    lengths = np.array([np.linalg.norm(part) for part in parts])
    return bool(np.all((lengths == 0) | (np.abs(lengths - 1) < UNIT_TOLERANCE)))


def look_size(encoder: Encoder) -> int:
    """Dimensions of a look: object, style and colour."""
    return encoder.object_size + encoder.style_size + COLOUR_SIZE


def weighted(vector: Vector, weights: Weights, object_size: int, style_size: int) -> Vector:
    """`vector` with each part multiplied by its share of the weights; its dot product with a look is the score."""
    shares = np.array([weights.object, weights.style, weights.colour]) / (
        weights.object + weights.style + weights.colour
    )
    sizes = [object_size, style_size, len(vector) - object_size - style_size]
    return (vector * np.repeat(shares, sizes)).astype(np.float32)


def code_of_looks() -> str:
    """A name for the code of this folder: when it has changed, looks that are kept on disk are of no use."""
    code = sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        code.update(path.read_bytes())
    return code.hexdigest()[:16]
