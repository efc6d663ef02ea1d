"""Image embedder: computes the look of a picture, one vector of its object, its style (texture) and its colours."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

import numpy as np
from PIL.Image import Image

from consumers.vision.colour import ColourExtractor, ColourFacts
from consumers.vision.contracts import Detector, Encoder, EncoderInput
from consumers.vision.crops import select_views
from consumers.vision.keypoints import Keypoints, find_keypoints
from consumers.vision.look import Look, RegionLook
from consumers.vision.look_vector import has_unit_parts
from consumers.vision.moderator import NO_MODERATOR, ImageModerator
from consumers.vision.perceptual_hash import NO_HASH, PerceptualHash, perceptual_hash
from consumers.vision.regions import Region, choose_regions, cut_out, shows_one_thing
from consumers.vision.restoration import brighten, deblur
from infra.array_types import Floats
from infra.images.decode import CropRegion, DecodedImage, DecodeLimits, decode, thumbnail
from infra.images.resize import overview
from schemas.failures import Code, Failure, Rejected
from schemas.items import Objects
from schemas.searches import Crop

OpenDetector = Callable[[], Detector]
Decode = Callable[[bytes, DecodeLimits, CropRegion | None], DecodedImage]
"""Decodes encoded bytes to a picture, or to its crop; raises Rejected."""


@dataclass(frozen=True)
class _EncodedImage:
    """A decoded picture with everything but its vector."""

    encoder_input: EncoderInput
    colour_facts: ColourFacts
    thumbnail: bytes | None
    width: int
    height: int
    phash: PerceptualHash = NO_HASH
    labels: tuple[str, ...] = ()
    keypoints: Keypoints | None = None
    picture: Image | None = None
    """Pixels, if its things are looked for."""


@dataclass(frozen=True)
class _RegionPart:
    """A region of the picture with this number in the batch, and its part of the picture."""

    number: int
    region: Region
    box: Crop
    part: _EncodedImage


@dataclass(frozen=True)
class EmbedOptions:
    """How pictures are embedded."""

    keypoints: int = 0
    """Most keypoints to find in a picture; with 0 none are looked for."""
    restored: bool = False
    """Whether dark photos are brightened, and blurred ones deblurred, as those of queries are."""
    objects: Objects = "none"
    """Which things in the pictures get looks of their own."""


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
    open_detector: OpenDetector | None = None
    """Returns the detector of things; None: no things are looked for."""

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
        parts = self._cut_regions(valid, options.objects) if options.objects != "none" else []
        batch = [*valid, *(each.part for each in parts)]
        vectors = self._encode([image.encoder_input for image in batch]) if batch else ()
        encoded_ms = (time.perf_counter() - started) * 1000
        looks = [self._assemble(image, *vector, encoded_ms) for image, vector in zip(batch, vectors, strict=True)]
        looks = _add_regions(looks[: len(valid)], parts, looks[len(valid) :])
        remaining = iter(looks)
        return [result if isinstance(result, Failure) else next(remaining) for result in results]

    def _cut_regions(self, images: Sequence[_EncodedImage], objects: Objects) -> list[_RegionPart]:
        """Find the things in the pictures, and prepare the part of the picture with each for the encoder."""
        searched = [(number, each.picture) for number, each in enumerate(images) if each.picture is not None]
        if self.open_detector is None or not searched:
            return []
        detections = self.open_detector().detect([picture for _, picture in searched])
        regions = [
            (number, picture, region)
            for (number, picture), boxes in zip(searched, detections, strict=True)
            for region in choose_regions(picture.size, boxes, objects)
        ]
        return list(self.pool.map(lambda arguments: self._cut_region(*arguments), regions))

    def _cut_region(self, number: int, picture: Image, region: Region) -> _RegionPart:
        part = cut_out(picture, region.box)
        encoder_input = EncoderInput((self.encoder.prepare_region(part, (0, 0, *part.size)),), studio=False)
        encoded = _EncodedImage(encoder_input, self.colours.extract(part), None, *part.size)
        return _RegionPart(number, region, region.crop(picture.size), encoded)

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
        image, side, size = picture.image, self.limits.thumbnail, (picture.width, picture.height)
        small = thumbnail(image, side) if side else None
        reduced, phash = overview(image), perceptual_hash(image)
        focus = select_views(image, reduced)
        if options.restored and not focus.studio:
            image = deblur(brighten(image) if crop is None else image)
            reduced = overview(image)
        views = tuple(self.encoder.prepare(image, box) for box in focus.boxes)
        encoder_input = EncoderInput(views, focus.studio)
        found = find_keypoints(image, options.keypoints) if options.keypoints else None
        is_whole_enough = options.objects == "auto" and focus.studio and shows_one_thing(reduced)
        searched = None if options.objects == "none" or is_whole_enough else image
        colour_facts = self.colours.extract(image, reduced)
        return _EncodedImage(encoder_input, colour_facts, small, *size, phash, labels, found, searched)

    def _assemble(
        self, image: _EncodedImage, encoded: Floats, whole_view: Floats | None, encoded_ms: float
    ) -> Look | Failure:
        vector = np.concatenate([encoded, image.colour_facts.histogram]).astype(np.float32)
        if not has_unit_parts(vector, self.encoder):
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


def _add_regions(
    looks: Sequence[Look | Failure], parts: Sequence[_RegionPart], part_looks: Sequence[Look | Failure]
) -> list[Look | Failure]:
    """Add the looks of the parts to those of their pictures; a part whose look failed is left out."""
    regions: dict[int, list[RegionLook]] = {}
    for each, look in zip(parts, part_looks, strict=True):
        if isinstance(look, Look):
            regions.setdefault(each.number, []).append(RegionLook(each.box, each.region.objectness, look))
    return [
        replace(look, regions=tuple(regions[number])) if number in regions and isinstance(look, Look) else look
        for number, look in enumerate(looks)
    ]
