"""Pictures for benchmarks: with new bytes, so that no cache knows them, or as large as phones make them."""

import uuid
from collections.abc import Sequence
from io import BytesIO

from PIL import Image

from schemas.items import MAX_INLINE_BYTES

TWELVE_MEGAPIXELS, QUALITY = (4_000, 3_000), 60


def new(picture: bytes) -> bytes:
    """The same picture with new bytes: the embedding cache knows pictures by their bytes."""
    return picture + uuid.uuid4().bytes


def all_new(pictures: Sequence[bytes]) -> list[bytes]:
    """Each picture with new bytes."""
    return [new(picture) for picture in pictures]


def as_phones_send(picture: bytes) -> bytes:
    """The same picture with 12 megapixels, as a JPEG that fits into an event."""
    large = Image.open(BytesIO(picture)).convert("RGB").resize(TWELVE_MEGAPIXELS, Image.Resampling.BICUBIC)
    for quality in range(QUALITY, 0, -10):
        out = BytesIO()
        large.save(out, "JPEG", quality=quality)
        if out.tell() <= MAX_INLINE_BYTES:
            return out.getvalue()
    raise ValueError("no quality makes the picture fit into an event")
