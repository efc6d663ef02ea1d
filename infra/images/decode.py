"""Image decoding: turns untrusted bytes into an upright sRGB picture of bounded size, or rejects them."""

import math
from dataclasses import dataclass
from io import BytesIO
from typing import Protocol

from PIL import Image

from infra.images import formats
from infra.images.animation import load_frame
from infra.images.colour_profile import profile_of, to_srgb
from infra.images.image_file import ImageFile, naming_format, open_image
from infra.images.pixels import SIDEWAYS, on_white, orientation_of, reduce_image, turn_upright
from schemas.failures import Code, Rejected

MAX_DECODED_PIXELS = 20_000_000
"""Larger pictures are reduced, whatever their format: every later step copies the pixels."""
FULL_SIZE_FORMATS = (formats.PNG, formats.WEBP, formats.GIF)
"""Pictures of these formats keep their size up to MAX_DECODED_PIXELS, as they did when existing indexes were made.
Those of other formats are reduced to the detail that the encoder needs, which makes all later steps cheap."""
JPEG_STEPS = ((1600, 90), (1600, 80), (1600, 70), (1600, 60), (1200, 70), (800, 70), (800, 50), (800, 30))
"""Longer side in pixels and quality of a shrunk picture, tried in order until it fits; the last ones fit noise."""
MIN_SHRUNK_SIDE = 64
"""Pixels to which the shorter side is never shrunk: a panorama keeps a longer side instead."""


@dataclass(frozen=True)
class DecodeLimits:
    """Limits for accepted pictures, and the sizes to which they are reduced. All sides are in pixels."""

    max_bytes: int = 50_000_000
    max_pixels: int = 100_000_000
    min_side: int = 16
    detail: int = 520
    """Shorter side below which a large picture is never reduced: twice the input side of the encoder."""
    thumbnail: int = 96
    """Longer side of the thumbnail; 0 for no thumbnail."""


class CropRegion(Protocol):
    """A part of a picture, as shares of its upright width and height; schemas.searches.Crop implements it.

    It is a Protocol because the decoder processes must start fast: pydantic would double their start time.
    """

    @property
    def x(self) -> float: ...
    @property
    def y(self) -> float: ...
    @property
    def w(self) -> float: ...
    @property
    def h(self) -> float: ...


@dataclass(frozen=True)
class DecodedImage:
    """An upright RGB picture, possibly reduced, and its original width and height in pixels."""

    image: Image.Image
    width: int
    height: int


def decode(data: bytes, limits: DecodeLimits, crop: CropRegion | None = None) -> DecodedImage:
    """Decode the picture in `data` and apply `crop`; raises Rejected.

    The size is checked from the header, before any pixel is decoded. Transparent parts become white.
    """
    file = _open(data, limits)
    # A crop may be arbitrarily narrow, so the detail is limited to the size of the picture.
    detail = limits.detail / min(crop.w, crop.h) if crop else limits.detail
    keeps_size = file.format in FULL_SIZE_FORMATS and math.prod(file.image.size) <= MAX_DECODED_PIXELS
    picture = _render(file, data, limits, round(min(math.inf if keeps_size else detail, max(file.image.size))))
    return picture if crop is None else cut_crop(picture, crop, limits.min_side)


def shrink(data: bytes, limits: DecodeLimits, max_bytes: int) -> bytes:
    """An upright sRGB JPEG of the picture of at most `max_bytes` bytes, with the first of JPEG_STEPS that fits.

    Raises Rejected.
    """
    file = _open(data, limits)
    image = _render(file, data, limits, min(_shrunk_size(file.image.size, JPEG_STEPS[0][0]))).image
    for side, quality in JPEG_STEPS:
        size = _shrunk_size(image.size, side)
        if size != image.size:
            image = image.resize(size, Image.Resampling.LANCZOS)
        out = BytesIO()
        image.save(out, "JPEG", quality=quality)
        if out.tell() <= max_bytes:
            return out.getvalue()
    message = f"the picture of {file.image.width} x {file.image.height} does not fit {max_bytes:,} bytes: crop it"
    raise Rejected(Code.IMAGE_TOO_LARGE, message)


def _open(data: bytes, limits: DecodeLimits) -> ImageFile:
    if not data:
        raise Rejected(Code.IMAGE_MISSING, "the picture is empty: send its encoded bytes")
    if len(data) > limits.max_bytes:
        message = f"the picture has {len(data):,} bytes, at most {limits.max_bytes:,} are taken: send a smaller one"
        raise Rejected(Code.IMAGE_TOO_LARGE, message)
    return open_image(data, limits.max_pixels, limits.min_side)


def _render(file: ImageFile, data: bytes, limits: DecodeLimits, detail: int) -> DecodedImage:
    """Decode the pixels, and bring them to sRGB, upright and on white, with a shorter side of at least `detail`."""
    with naming_format(file.format):
        stored_size = file.image.size
        if file.format is formats.JPEG:
            # A JPEG can be decoded at 1/2, 1/4 or 1/8, fourteen times faster for a photo of 12 megapixels.
            file.image.draft(None, (detail, detail))
        image = load_frame(file, limits.max_pixels)
        orientation, profile = orientation_of(image), profile_of(image, data)
        # A page of a TIFF may be larger than the first one.
        width, height = stored_size if file.format is formats.JPEG else image.size
        colours = to_srgb(reduce_image(image, _reduction(image.size, detail)), profile)
        upright = on_white(turn_upright(colours, orientation))
        return DecodedImage(upright, *((height, width) if orientation in SIDEWAYS else (width, height)))


def _reduction(size: tuple[int, int], detail: int) -> int:
    """The factor by which a decoded picture is reduced: to `detail`, or further to MAX_DECODED_PIXELS."""
    factor = max(min(size) // detail, 1)
    while math.prod(math.ceil(side / factor) for side in size) > MAX_DECODED_PIXELS:
        factor += 1
    return factor


def _shrunk_size(size: tuple[int, int], longer_side: int, least: int = MIN_SHRUNK_SIDE) -> tuple[int, int]:
    """The size with this longer side, but with at least `least` as its shorter side; never enlarged."""
    share = min(max(longer_side / max(size), least / min(size)), 1)
    return max(round(size[0] * share), 1), max(round(size[1] * share), 1)


def cut_crop(picture: DecodedImage, crop: CropRegion, min_side: int = 16) -> DecodedImage:
    """Cut `crop` out of the picture; raises Rejected when a side of the result is under `min_side` pixels."""
    left, top = round(crop.x * picture.image.width), round(crop.y * picture.image.height)
    right = min(round((crop.x + crop.w) * picture.image.width), picture.image.width)
    bottom = min(round((crop.y + crop.h) * picture.image.height), picture.image.height)
    if min(right - left, bottom - top) < min_side:
        message = (
            f"the crop is {right - left} x {bottom - top} pixels of a picture of "
            f"{picture.image.width} x {picture.image.height}: each side must have at least {min_side}"
        )
        raise Rejected(Code.CROP_IMPOSSIBLE, message)
    part = picture.image.crop((left, top, right, bottom))
    return DecodedImage(part, round(crop.w * picture.width), round(crop.h * picture.height))


def thumbnail(image: Image.Image, side: int) -> bytes:
    """A JPEG of the picture whose longer side is at most `side` pixels.

    A picture three times as large is first halved by averaging, then resized bicubically, which halves the time.
    """
    size = _shrunk_size(image.size, side, least=1)
    out = BytesIO()
    image.resize(size, Image.Resampling.BICUBIC, reducing_gap=1.5).save(out, "JPEG", quality=80)
    return out.getvalue()
