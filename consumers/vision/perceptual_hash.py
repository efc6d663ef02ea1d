"""Perceptual hash: computes 64 bits that change little when a picture is resized or recompressed.

There are two hashes per picture, with and without a plain frame, because a copy may have got a frame."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image

from infra.images.resize import average

SIDE, FREQUENCIES = 32, 8
"""Sides of the grey picture, and of the block of lowest frequencies of its cosine transform that is hashed.

The block leaves out the means of rows and columns.
Source: Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions", 2010."""
BITS = FREQUENCIES * FREQUENCIES
COSINE_BASIS = np.cos(np.pi / SIDE * np.arange(1, FREQUENCIES + 1)[:, np.newaxis] * (np.arange(SIDE) + 0.5))
"""[FREQUENCIES, SIDE]: rows 1 to FREQUENCIES of the cosine transform (DCT-II)."""
EDGE_SIDE = 128
"""Approximate shorter side in pixels to which a picture is reduced before its frame is detected."""
MAX_PLAIN_RANGE = 12
"""Largest range of grey levels, of 255, within plain lines; JPEG compression alone can cause it."""
MIN_INNER_SHARE = 1 / 8
"""Minimum share of the width and of the height that must remain without the frame."""


class PerceptualHash(NamedTuple):
    """Hashes of a picture, 0..2^64-1: of the whole, and of its inside without a plain frame (equal if none)."""

    whole: int
    inner: int

    def __str__(self) -> str:
        """32 hex digits."""
        return f"{self.whole:016x}{self.inner:016x}"


NO_HASH = PerceptualHash(0, 0)


def parse_hash(text: str) -> PerceptualHash:
    """Parse 32 hex digits; raises ValueError."""
    return PerceptualHash(int(text[:16], 16), int(text[16:], 16))


def perceptual_hash(image: Image) -> PerceptualHash:
    """Compute the hash of an RGB picture. It is meaningless for a plain picture: compare looks as well."""
    grey = image.convert("L")
    whole, box = _hash(grey), _inner_box(grey)
    return PerceptualHash(whole, whole if box == (0, 0, *grey.size) else _hash(grey.crop(box)))


def hamming_distance(first: PerceptualHash, second: PerceptualHash) -> int:
    """Smallest Hamming distance, 0..64, between a hash of one and a hash of the other; about 32 if unrelated."""
    return min((a ^ b).bit_count() for a in first for b in second)


def _hash(grey: Image) -> int:
    low = COSINE_BASIS @ average(grey, SIDE).astype(np.float64) @ COSINE_BASIS.T
    return int.from_bytes(np.packbits(low > np.median(low)).tobytes(), "big")


def _inner_box(grey: Image) -> tuple[int, int, int, int]:
    """The box inside the plain lines at the edges; the whole side if less than MIN_INNER_SHARE would remain."""
    factor = max(1, min(grey.size) // EDGE_SIDE)
    pixels = np.asarray(grey.reduce(factor) if factor > 1 else grey, np.int16)
    top, bottom = _inner_range(pixels.min(1), pixels.max(1))
    left, right = _inner_range(pixels.min(0), pixels.max(0))
    width, height = grey.size
    return left * factor, top * factor, min(width, right * factor), min(height, bottom * factor)


def _inner_range(darkest: NDArray[np.int16], lightest: NDArray[np.int16]) -> tuple[int, int]:
    """Start and end of the lines that remain without the plain lines of one shade at either end."""
    start, end = _plain_count(darkest, lightest), len(darkest) - _plain_count(darkest[::-1], lightest[::-1])
    return (start, end) if end - start >= MIN_INNER_SHARE * len(darkest) else (0, len(darkest))


def _plain_count(darkest: NDArray[np.int16], lightest: NDArray[np.int16]) -> int:
    """Number of leading lines that are plain when taken together."""
    spread = np.maximum.accumulate(lightest) - np.minimum.accumulate(darkest)
    return int(np.searchsorted(spread, MAX_PLAIN_RANGE, side="right"))
