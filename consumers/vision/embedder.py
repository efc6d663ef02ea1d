"""Image embedder: computes the look of a picture, one vector of its object, its style (texture) and its colours.

look = [object | style | colour]      each part of unit length
query = the same, each part times its weight, so that the dot product is the weighted sum of the cosines
"""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from PIL.Image import Image

from consumers.vision.colour import COLOUR_SIZE, ColourExtractor, ColourFacts
from consumers.vision.crops import select_views
from consumers.vision.keypoints import Keypoints, find_keypoints
from consumers.vision.moderator import NO_MODERATOR, ImageModerator
from consumers.vision.perceptual_hash import NO_HASH, PerceptualHash, perceptual_hash
from consumers.vision.restoration import brighten, deblur
from infra.array_types import Box, Floats, Pixels
from infra.images import decode as decoding
from infra.images.decode import CropRegion, DecodedImage, DecodeLimits, decode, thumbnail
from schemas.failures import Code, Failure, Rejected
from schemas.filters import ColourName
from schemas.ranking import Weights
from schemas.results import Swatch
from schemas.searches import Crop

UNIT_TOLERANCE = 0.01
"""Largest deviation from 1 of the length of a part: encoders may round to 8 bits of mantissa."""

Decode = Callable[[bytes, DecodeLimits, CropRegion | None], DecodedImage]
"""Decodes encoded bytes to a picture, or to its crop; raises Rejected."""


class EncoderInput(NamedTuple):
    """Input of the encoder for one picture: its prepared views, and whether it is a studio picture."""

    views: tuple[Pixels, ...]
    studio: bool


class Encoder(Protocol):
    """Model that turns pictures into vectors; its contract is tests/contracts/test_encoder_contract.py."""

    @property
    def fingerprint(self) -> str:
        """Model and hash of all that affects its vectors; vectors of different fingerprints are not comparable."""

    @property
    def object_size(self) -> int:
        """Dimensions of the object part, which is first in a vector."""

    @property
    def style_size(self) -> int:
        """Dimensions of the style part, which follows the object part."""

    @property
    def prepare(self) -> Callable[[Image, Box], Pixels]:
        """Function from a box of an upright RGB picture to pixels, all of one shape; thread-safe."""

    def run(self, batch: Sequence[EncoderInput], /) -> Floats:
        """Encode N pictures of one or more views: float32 [N, object_size + style_size], parts of unit length."""


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
    """Time in milliseconds that the encoder took for the whole batch of this picture."""
    whole_view: Floats | None = None
    """Object part of the whole picture alone, without the second view; None for a picture of one view."""


@dataclass(frozen=True)
class _EncodedImage:
    """A decoded picture with everything but its vector."""

    encoder_input: EncoderInput
    colour_facts: ColourFacts
    thumbnail: bytes | None
    width: int
    height: int
    phash: PerceptualHash
    labels: tuple[str, ...]
    keypoints: Keypoints | None


@dataclass(frozen=True)
class EmbedOptions:
    """How pictures are embedded."""

    keypoints: int = 0
    """Most keypoints to find in a picture; with 0 none are looked for."""
    restored: bool = False
    """Whether dark photos are brightened, and blurred ones deblurred, as those of queries are."""


DEFAULT_OPTIONS = EmbedOptions()


class EmbedImages(Protocol):
    """Embeds encoded pictures, or the crop of each, in one batch; ImageEmbedder.embed implements it."""

    def __call__(
        self,
        pictures: Sequence[bytes],
        crops: Sequence[Crop | None] = (),
        options: EmbedOptions = DEFAULT_OPTIONS,
        /,
    ) -> Sequence[Look | Failure]: ...


@dataclass(frozen=True)
class ImageEmbedder:
    """Embeds pictures in batches. The threads of `pool` decode pictures in parallel, because PIL releases the GIL.

    Workers pass a `decode` that runs in child processes, so that a picture cannot harm them
    (infra/images/decode_pool.py).
    """

    encoder: Encoder
    colours: ColourExtractor
    limits: DecodeLimits
    pool: Executor
    decode: Decode = decode
    moderator: ImageModerator = NO_MODERATOR

    def embed(
        self,
        pictures: Sequence[bytes],
        crops: Sequence[Crop | None] = (),
        options: EmbedOptions = DEFAULT_OPTIONS,
    ) -> list[Look | Failure]:
        """Embed each picture; a picture that fails gets a Failure in its place, and the others are unaffected.

        `crops` is empty or has one entry per picture. The encoder runs once for the whole batch.
        """
        inputs = zip(pictures, crops or [None] * len(pictures), strict=True)
        decode = partial(self._decode_picture, options=options)
        results = list(self.pool.map(lambda arguments: decode(*arguments), inputs))
        valid = [result for result in results if isinstance(result, _EncodedImage)]
        started = time.perf_counter()
        vectors = iter(self._encode([image.encoder_input for image in valid]) if valid else ())
        encoded_ms = (time.perf_counter() - started) * 1000
        return [
            result if isinstance(result, Failure) else self._assemble(result, *next(vectors), encoded_ms)
            for result in results
        ]

    def _encode(self, inputs: Sequence[EncoderInput]) -> list[tuple[Floats, Floats | None]]:
        """Return the vector of each picture, and the object part of its whole view alone, if it has more views."""
        whole = [EncoderInput(each.views[:1], each.studio) for each in inputs if len(each.views) > 1]
        # Views that two inputs share are computed once (infra/encoder/runtime.py).
        encoded = self.encoder.run([*inputs, *whole])
        parts = iter(encoded[len(inputs) :, : self.encoder.object_size])
        alone = [next(parts) if len(each.views) > 1 else None for each in inputs]
        return list(zip(encoded, alone, strict=False))

    def _decode_picture(self, data: bytes, crop: Crop | None, options: EmbedOptions) -> _EncodedImage | Failure:
        """Decode and moderate a picture, and compute everything of its look but the vector."""
        try:
            picture = self.decode(data, self.limits, crop)
            labels = self.moderator.labels(picture.image)
        except Failure as failure:
            return failure
        image, side = picture.image, self.limits.thumbnail
        small = thumbnail(image, side) if side else None
        size, phash = (picture.width, picture.height), perceptual_hash(image)
        focus = select_views(image)
        if options.restored and not focus.studio:
            image = deblur(brighten(image) if crop is None else image)
        views = tuple(self.encoder.prepare(image, box) for box in focus.boxes)
        encoder_input = EncoderInput(views, focus.studio)
        found = find_keypoints(image, options.keypoints) if options.keypoints else None
        return _EncodedImage(encoder_input, self.colours.extract(image), small, *size, phash, labels, found)

    def _assemble(
        self, image: _EncodedImage, encoded: Floats, whole_view: Floats | None, encoded_ms: float
    ) -> Look | Failure:
        vector = np.concatenate([encoded, image.colour_facts.histogram]).astype(np.float32)
        if not _has_unit_parts(vector, self.encoder):
            message = "the encoder gave no vector of numbers and unit length for the picture: send another one"
            return Rejected(Code.VECTOR_INVALID, message)
        return Look(
            vector=vector,
            colours=image.colour_facts.names,
            palette=image.colour_facts.palette,
            thumbnail=image.thumbnail,
            width=image.width,
            height=image.height,
            studio=image.encoder_input.studio,
            phash=image.phash,
            labels=image.labels,
            moderator=self.moderator.name,
            encoded_ms=encoded_ms,
            keypoints=image.keypoints,
            whole_view=whole_view,
        )


def _has_unit_parts(vector: Floats, encoder: Encoder) -> bool:
    """Whether object, style and colour each have unit length or are all zeros; this excludes NaN and infinity."""
    parts = np.split(vector.astype(np.float64), [encoder.object_size, encoder.object_size + encoder.style_size])
    lengths = np.array([np.linalg.norm(part) for part in parts])
    return bool(np.all((lengths == 0) | (np.abs(lengths - 1) < UNIT_TOLERANCE)))


def look_size(encoder: Encoder) -> int:
    """Dimensions of a look vector: object, style and colour together."""
    return encoder.object_size + encoder.style_size + COLOUR_SIZE


def weight_look(vector: Floats, weights: Weights, object_size: int, style_size: int) -> Floats:
    """Multiply each part of `vector` by its share of the weights; the dot product with a look is then the score."""
    shares = np.array([weights.object, weights.style, weights.colour]) / (
        weights.object + weights.style + weights.colour
    )
    sizes = [object_size, style_size, len(vector) - object_size - style_size]
    return (vector * np.repeat(shares, sizes)).astype(np.float32)


def look_code_version() -> str:
    """Hash of the source files of this folder and of infra/images: by another code, stored looks are invalid."""
    digest = sha256()
    for path in sorted((*Path(__file__).parent.glob("*.py"), *Path(decoding.__file__).parent.glob("*.py"))):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
