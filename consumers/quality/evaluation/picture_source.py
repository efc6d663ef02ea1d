"""Picture sources: where the encoded pictures of a labelled set are, and how a box is cut out of a picture."""

import errno
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Protocol

from infra.array_types import Box
from infra.images.decode import DecodeLimits, cut_crop, decode
from schemas.failures import Rejected
from schemas.searches import Crop

FULL_SIZE = DecodeLimits(detail=100_000)
"""Decodes a picture without reducing it, up to the limit that all decoding has."""
MAX_BYTES = FULL_SIZE.max_bytes
"""Bytes of an encoded picture; larger ones are not read, because they would be rejected."""
QUALITY = 95
"""JPEG quality of a part that was cut out, without chroma subsampling: no visible loss."""


class PictureSource(Protocol):
    """The place of one encoded picture that is no file of its own."""

    def read(self) -> bytes:
        """The encoded picture. Raises OSError when it cannot be read."""


@dataclass(frozen=True)
class FileSlice:
    """`size` bytes of a file from `start` on, as those of a member of an uncompressed tar archive."""

    file: Path
    start: int
    size: int

    def read(self) -> bytes:
        """The bytes, or fewer at the end of the file. Raises OSError, also when they are more than MAX_BYTES."""
        if self.size > MAX_BYTES:
            raise OSError(errno.EFBIG, f"the picture has {self.size:,} bytes", str(self.file))
        with self.file.open("rb") as file:
            file.seek(self.start)
            return file.read(self.size)


def read_file(path: Path) -> bytes:
    """The bytes of a picture file. Raises OSError, also when they are more than MAX_BYTES."""
    with path.open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise OSError(errno.EFBIG, "the picture is too large", str(path))
    return data


def cut_box(picture: bytes, box: Box) -> bytes:
    """A JPEG of the part of a picture within a box, which is in pixels of the upright picture and is clipped to it.

    Empty when the picture cannot be decoded, or when the part has a side of fewer than 16 pixels.
    """
    try:
        decoded = decode(picture, FULL_SIZE)
        left, right = (min(max(edge / decoded.width, 0.0), 1.0) for edge in (box[0], box[2]))
        top, bottom = (min(max(edge / decoded.height, 0.0), 1.0) for edge in (box[1], box[3]))
        if not (left < right and top < bottom):
            return b""
        part = cut_crop(decoded, Crop(x=left, y=top, w=right - left, h=bottom - top), FULL_SIZE.min_side).image
    except Rejected:
        return b""
    out = BytesIO()
    part.save(out, "JPEG", quality=QUALITY, subsampling=0)
    return out.getvalue()
