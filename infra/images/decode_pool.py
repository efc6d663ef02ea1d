"""Stand-in until P1's room is merged: shrinks in threads of this process, without a jail."""

import io
import struct
import zlib

from PIL import Image, ImageOps, UnidentifiedImageError

from infra.images.decode import DecodeLimits
from schemas.failures import Code, Rejected

DECODE_ERRORS = (
    OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, RuntimeError, struct.error,
    zlib.error,
)  # fmt: skip
STEPS = ((1600, 90), (1600, 80), (1600, 70), (1600, 60), (1200, 70), (800, 70))


class DecodePool:
    """Shrinks pictures."""

    def __init__(self, count: int, *, eager: bool = True) -> None:
        self._count, self._eager = count, eager

    def shrink(self, data: bytes, limits: DecodeLimits, max_bytes: int) -> bytes:
        """An upright JPEG of at most `max_bytes` bytes; raises Rejected."""
        picture = _decode(data, limits)
        for side, quality in STEPS:
            if max(picture.size) > side:
                picture.thumbnail((side, side), Image.Resampling.LANCZOS)
            out = io.BytesIO()
            picture.save(out, "JPEG", quality=quality)
            if out.tell() <= max_bytes:
                return out.getvalue()
        raise Rejected(Code.IMAGE_TOO_LARGE, f"the picture did not fit {max_bytes} bytes even at 800 pixels")

    def close(self) -> None:
        """End the processes."""


def _decode(data: bytes, limits: DecodeLimits) -> Image.Image:
    try:
        picture = Image.open(io.BytesIO(data))
        if picture.width * picture.height > limits.max_pixels:
            raise Rejected(Code.IMAGE_TOO_LARGE, f"the picture has more than {limits.max_pixels} pixels")
        picture.draft("RGB", STEPS[0][:1] * 2)
        upright = ImageOps.exif_transpose(picture)
        if not upright.has_transparency_data:
            return upright.convert("RGB")
        rgba = upright.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    except UnidentifiedImageError:
        message = "the picture is of no kind that can be read: send a JPEG, PNG, WebP or GIF"
        raise Rejected(Code.IMAGE_UNREADABLE, message) from None
    except DECODE_ERRORS:
        raise Rejected(Code.IMAGE_UNREADABLE, "the picture is broken: send it again, whole") from None
