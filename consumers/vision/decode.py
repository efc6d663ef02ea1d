"""Image decoding: turns untrusted bytes into an upright RGB picture of bounded size, or rejects them."""

import re
import struct
import zlib
from dataclasses import dataclass
from io import BytesIO
from typing import Protocol

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.ImageFile import ImageFile

from schemas.failures import Code, Rejected

FORMATS = ("JPEG", "PNG", "WEBP", "GIF")
"""Short on purpose: each decoder is an attack surface. JPEG includes MPO, the JPEG variant of some phones."""

PIL_ERRORS = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, struct.error, zlib.error)
"""Exceptions that PIL raises on truncated or corrupt files."""

PRIVATE_TEXT = re.compile(r"<[^>]*>|b(['\"]).*?\1")
"""Parts of PIL's messages that must not be disclosed: objects of this process, and bytes of the file."""

BOMB_ERRORS = (Image.DecompressionBombError, Image.DecompressionBombWarning)

START_OF_SCAN = b"\xff\xda"
MAX_SCAN_PIXELS = 400_000_000
"""Pixels times scans that a JPEG may have: twenty times the largest picture, about 2.5 s of a core.

Ordinary JPEGs have ten scans; a file of 94 kB can have a thousand, which takes a minute."""

SAMPLE_SCALES = {"L;2": 255 / 3, "L;4": 255 / 15, "RGB;16B": 1 / 256}
"""Factors by which PIL scales PNG samples to 8 bits, by raw mode; it does not scale the transparent colour."""


@dataclass(frozen=True)
class DecodeLimits:
    """Limits for accepted pictures, and the sizes to which they are reduced. All sides are in pixels."""

    max_bytes: int = 10_000_000
    max_pixels: int = 20_000_000
    min_side: int = 16
    detail: int = 520
    """Shorter side below which a large JPEG is never reduced in decoding: twice the input side of the encoder."""
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
    if not data:
        raise Rejected(Code.IMAGE_MISSING, "the picture is empty: send its encoded bytes")
    if len(data) > limits.max_bytes:
        message = f"the picture has {len(data):,} bytes, at most {limits.max_bytes:,} are taken: send a smaller one"
        raise Rejected(Code.IMAGE_TOO_LARGE, message)
    image = _open(data, limits)
    _check_size(image.size, limits)
    _check_scans(image, data)
    width, height = _load(image, limits, crop)
    picture = DecodedImage(_rgb(image), width, height)
    return picture if crop is None else cut_crop(picture, crop, limits.min_side)


def _open(data: bytes, limits: DecodeLimits) -> ImageFile:
    try:
        return Image.open(BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError:
        raise _unknown_format() from None
    except BOMB_ERRORS:
        raise Rejected(Code.IMAGE_TOO_LARGE, f"the picture has more than {limits.max_pixels:,} pixels") from None
    except PIL_ERRORS as error:
        raise _unreadable(error) from None


def _unknown_format() -> Rejected:
    return Rejected(
        Code.IMAGE_FORMAT, "the picture is not a JPEG, PNG, WebP or GIF that can be read: send one of these, whole"
    )


def _unreadable(error: BaseException) -> Rejected:
    # PIL's message names the object that it read from, with its memory address, and quotes bytes of the file.
    why = PRIVATE_TEXT.sub("...", str(error))[:120]
    return Rejected(Code.IMAGE_UNREADABLE, f"the picture is broken ({why}): send it again, whole")


def _check_size(size: tuple[int, int], limits: DecodeLimits) -> None:
    width, height = size
    if width * height > limits.max_pixels:
        message = f"the picture is {width} x {height}, at most {limits.max_pixels:,} pixels are taken: reduce it"
        raise Rejected(Code.IMAGE_TOO_LARGE, message)
    if min(size) < limits.min_side:
        message = f"the picture is {width} x {height}, each side must have at least {limits.min_side} pixels"
        raise Rejected(Code.IMAGE_TOO_SMALL, message)


def _check_scans(image: ImageFile, data: bytes) -> None:
    scans = data.count(START_OF_SCAN) if image.format in ("JPEG", "MPO") else 1
    if scans * image.width * image.height > MAX_SCAN_PIXELS:
        message = f"the picture is {image.width} x {image.height} in {scans} scans: save it again with fewer"
        raise Rejected(Code.IMAGE_TOO_LARGE, message)


def _load(image: ImageFile, limits: DecodeLimits, crop: CropRegion | None) -> tuple[int, int]:
    """Decode the pixels and turn the image upright, in place; returns the upright size before any reduction."""
    full_size = image.size
    # A crop may be arbitrarily narrow, so the detail is limited to the size of the picture.
    detail = round(min(limits.detail / min(crop.w, crop.h), max(full_size))) if crop else limits.detail
    try:
        # A JPEG can be decoded at 1/2, 1/4 or 1/8, fourteen times faster for a photo of 12 megapixels.
        image.draft(None, (detail, detail))
        _scale_transparency(image)
        image.load()
    except PIL_ERRORS as error:
        raise _unreadable(error) from None
    return full_size[::-1] if _make_upright(image) else full_size


def _scale_transparency(image: ImageFile) -> None:
    """Scale the transparent colour of a PNG to 8 bits, as PIL scales its pixels."""
    scale = SAMPLE_SCALES.get(str(image.tile[0].args)) if image.tile else None
    colour = image.info.get("transparency")
    if scale and isinstance(colour, int):
        image.info["transparency"] = int(colour * scale)
    elif scale and colour:
        image.info["transparency"] = tuple(int(sample * scale) for sample in colour)


def _make_upright(image: Image.Image) -> bool:
    """Apply the EXIF orientation in place; returns whether width and height were swapped."""
    before = image.size
    try:
        is_sideways = image.getexif().get(0x0112) in (5, 6, 7, 8)
        ImageOps.exif_transpose(image, in_place=True)
    except PIL_ERRORS:
        return False  # Ignore broken EXIF data: the pixels stay as they are.
    return is_sideways and before[::-1] == image.size


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        image = _eight_bits(image)
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image.convert("RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    """Convert a 16-bit grey picture, with its transparency, to 8 bits; PIL would clip at 255 and make it white."""
    values = np.asarray(image, np.float32)
    grey = Image.fromarray(np.clip(np.round(values / 257), 0, 255).astype(np.uint8))
    if (transparent_value := image.info.get("transparency")) is not None:
        grey.putalpha(Image.fromarray(np.where(values == transparent_value, 0, 255).astype(np.uint8)))
    return grey


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
    small = image.copy()
    small.thumbnail((side, side), reducing_gap=1.5)
    out = BytesIO()
    small.save(out, "JPEG", quality=80)
    return out.getvalue()
