"""Pictures drawn in code and encoded in every format, and the parts of files that encoders do not write."""

import struct
import zlib
from io import BytesIO
from typing import Any

import numpy as np
import pillow_heif
import pillow_jxl
from numpy.typing import NDArray
from PIL import Image

from infra.images.decode import DecodeLimits, decode
from schemas.failures import Rejected

pillow_heif.register_heif_opener()

KINDS = ("JPEG", "PNG", "WEBP", "GIF", "HEIF", "AVIF", "TIFF", "BMP", "JXL")
"""PIL's names of all formats that are taken."""
LIMITS = DecodeLimits()
QUICK_OPTIONS: dict[str, dict[str, object]] = {
    "AVIF": {"speed": 10}, "HEIF": {"enc_params": {"preset": "ultrafast"}}, "JXL": {"effort": 1},
}  # fmt: skip
END = b"\xff\xd9"


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    """A picture's bytes in a format, with PIL's own options; quickly where a format is slow."""
    out, exif = BytesIO(), options.get("exif")
    if isinstance(exif, Image.Exif) and kind in ("HEIF", "JXL"):
        options["exif"] = exif.tobytes()  # Else pillow-heif overlooks the orientation in it.
    image.save(out, kind, **QUICK_OPTIONS.get(kind, {}), **options)
    return out.getvalue()


def as_jpeg_xl(jpeg: bytes) -> bytes:
    """A JPEG XL that a JPEG can be made of again, bit for bit, as `cjxl` makes it of one."""
    image = Image.open(BytesIO(jpeg))
    encoder: Any = pillow_jxl.Encoder  # Its stub lacks `mode`.
    data: bytes = encoder(mode=image.mode, lossless=True)(jpeg, *image.size, jpeg_encode=True)
    return data


def photo(width: int = 96, height: int = 80, seed: int = 7) -> Image.Image:
    """A picture with shapes in soft colours."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 255, (max(height // 8, 2), max(width // 8, 2), 3), np.uint8)
    return Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC)


def noise(width: int, height: int, channels: int = 3) -> Image.Image:
    """A picture that no format compresses well."""
    shape = (height, width, channels) if channels > 1 else (height, width)
    return Image.fromarray(np.random.default_rng(0).integers(0, 255, shape, np.uint8))


def pixels(data: bytes) -> NDArray[np.int16]:
    """The decoded pixels of an encoded picture."""
    return np.asarray(decode(data, LIMITS).image, np.int16)


def difference(one: bytes, other: bytes) -> float:
    """The mean difference of the levels of two encoded pictures."""
    return float(np.abs(pixels(one) - pixels(other)).mean())


def refusal(data: bytes, limits: DecodeLimits = LIMITS) -> Rejected:
    """Why a picture is refused."""
    try:
        decode(data, limits)
    except Rejected as failure:
        return failure
    raise AssertionError("the picture was taken")


def chunk(name: bytes, body: bytes, checksum: int | None = None) -> bytes:
    """A chunk of a PNG."""
    sum_of = zlib.crc32(name + body) if checksum is None else checksum
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", sum_of)


def with_chunks(png: bytes, *chunks: bytes) -> bytes:
    """A PNG with further chunks behind its header."""
    return png[:33] + b"".join(chunks) + png[33:]


def segment(marker: int, body: bytes) -> bytes:
    """A segment of a JPEG."""
    return bytes((0xFF, marker)) + struct.pack(">H", len(body) + 2) + body


def with_segments(jpeg: bytes, *segments: bytes) -> bytes:
    """A JPEG with further segments behind its start."""
    return jpeg[:2] + b"".join(segments) + jpeg[2:]
