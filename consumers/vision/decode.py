"""Encoded bytes to an upright RGB picture of bounded size, or the reason why not."""

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
"""A short list: each decoder that is open is one that can be attacked. JPEG covers MPO, the JPEG of some phones."""

BROKEN = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, struct.error, zlib.error)
"""What PIL raises on bytes that break off or lie."""

QUOTED = re.compile(r"<[^>]*>|b(['\"]).*?\1")
"""What a message of PIL must not tell: objects of this process, and bytes of the file."""

BOMBS = (Image.DecompressionBombError, Image.DecompressionBombWarning)

START_OF_SCAN = b"\xff\xda"
MAX_PAINTED = 400_000_000
"""Pixels that a JPEG may paint in all its scans: twenty times the largest picture, about 2.5 s of a core. Good
ones have ten; 94 kB can ask for a thousand, and so for a minute."""

STRETCHED = {"L;2": 255 / 3, "L;4": 255 / 15, "RGB;16B": 1 / 256}
"""How PIL scales the samples of a PNG to 8 bits, by its raw mode, but not the transparent colour with them."""


@dataclass(frozen=True)
class DecodeLimits:
    """What a picture may be, and how much of it is kept. All sides are in pixels."""

    max_bytes: int = 10_000_000
    max_pixels: int = 20_000_000
    min_side: int = 16
    detail: int = 520
    """Shorter side below which a large JPEG is never reduced while decoding: twice what the encoder looks at."""
    thumbnail: int = 96
    """Longer side of the thumbnail; 0: none."""


class CropRegion(Protocol):
    """A part of a picture, in shares of its upright width and height; schemas.searches.Crop is one.

    A Protocol, because the processes that decode must start quickly: pydantic would double their start.
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
    """An upright RGB picture, perhaps reduced, and the size that it had."""

    image: Image.Image
    width: int
    height: int


def decode(data: bytes, limits: DecodeLimits, crop: CropRegion | None = None) -> DecodedImage:
    """The picture in `data`, as much of it as `crop` leaves; raises Rejected.

    Size is checked from the header, before any pixel is decoded. Transparent parts become white.
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
    return picture if crop is None else cut(picture, crop, limits.min_side)


def _open(data: bytes, limits: DecodeLimits) -> ImageFile:
    try:
        return Image.open(BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError:
        raise _unknown() from None
    except BOMBS:
        raise Rejected(Code.IMAGE_TOO_LARGE, f"the picture has more than {limits.max_pixels:,} pixels") from None
    except BROKEN as error:
        raise _unreadable(error) from None


def _unknown() -> Rejected:
    return Rejected(
        Code.IMAGE_FORMAT, "the picture is not a JPEG, PNG, WebP or GIF that can be read: send one of these, whole"
    )


def _unreadable(error: BaseException) -> Rejected:
    # PIL names the object that it read from, with its address in memory, and quotes what it found there.
    why = QUOTED.sub("...", str(error))[:120]
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
    if scans * image.width * image.height > MAX_PAINTED:
        message = f"the picture is {image.width} x {image.height} in {scans} scans: save it again with fewer"
        raise Rejected(Code.IMAGE_TOO_LARGE, message)


def _load(image: ImageFile, limits: DecodeLimits, crop: CropRegion | None) -> tuple[int, int]:
    """Decode the pixels and turn them upright, in place; the upright size before any reduction."""
    full = image.size
    # A crop may be as narrow as a float can be: no more detail is needed than there is.
    detail = round(min(limits.detail / min(crop.w, crop.h), max(full))) if crop else limits.detail
    try:
        # A JPEG can be decoded at 1/2, 1/4 or 1/8, fourteen times faster for a photo of 12 megapixels.
        image.draft(None, (detail, detail))
        _stretch_transparency(image)
        image.load()
    except BROKEN as error:
        raise _unreadable(error) from None
    return full[::-1] if _turn(image) else full


def _stretch_transparency(image: ImageFile) -> None:
    """Bring the transparent colour of a PNG to the scale that its pixels will have."""
    scale = STRETCHED.get(str(image.tile[0].args)) if image.tile else None
    colour = image.info.get("transparency")
    if scale and isinstance(colour, int):
        image.info["transparency"] = int(colour * scale)
    elif scale and colour:
        image.info["transparency"] = tuple(int(sample * scale) for sample in colour)


def _turn(image: Image.Image) -> bool:
    """Turn the picture upright as its EXIF says; whether width and height changed places."""
    before = image.size
    try:
        sideways = image.getexif().get(0x0112) in (5, 6, 7, 8)
        ImageOps.exif_transpose(image, in_place=True)
    except BROKEN:
        return False  # Broken EXIF says nothing: the pixels are fine as they lie.
    return sideways and before[::-1] == image.size


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        image = _eight_bits(image)
    if image.has_transparency_data:
        seen = image.convert("RGBA")
        white = Image.new("RGBA", seen.size, "white")
        return Image.alpha_composite(white, seen).convert("RGB")
    return image.convert("RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    """A picture of 16-bit greys at 8, transparent where its greys were: PIL clips at 255 and so makes it white."""
    values = np.asarray(image, np.float32)
    grey = Image.fromarray(np.clip(np.round(values / 257), 0, 255).astype(np.uint8))
    if (transparent := image.info.get("transparency")) is not None:
        grey.putalpha(Image.fromarray(np.where(values == transparent, 0, 255).astype(np.uint8)))
    return grey


def cut(picture: DecodedImage, crop: CropRegion, min_side: int = 16) -> DecodedImage:
    """The part of the picture that `crop` names; raises Rejected when it is under `min_side` pixels."""
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

    What is three times as large is halved by averaging before bicubic does the rest, in half of the time.
    """
    small = image.copy()
    small.thumbnail((side, side), reducing_gap=1.5)
    out = BytesIO()
    small.save(out, "JPEG", quality=80)
    return out.getvalue()
