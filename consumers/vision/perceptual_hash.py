"""Perceptual hashes: 64 bits that stay much the same when a picture is resized or recompressed; two of them, for a
picture may have got a frame."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image, Resampling

SIDE, KEPT = 32, 8
"""A grey picture of SIDE x SIDE, of whose cosine transform the KEPT x KEPT lowest frequencies count, but for the
means of rows and columns (Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions", 2010)."""
BITS = KEPT * KEPT
EDGE_SIDE = 128
"""Frames are looked for in a picture shrunk to about so many pixels."""
PLAIN = 12
"""Grey levels, of 255, by which a plain line may vary: JPEG does as much."""
LEAST_INNER = 1 / 8
"""Of width and height must be left without the frame."""


class PerceptualHash(NamedTuple):
    """The hash of a picture, 0..2^64-1, and of what is left without a plain frame: the same if it has none."""

    whole: int
    inner: int

    def __str__(self) -> str:
        """32 hex digits."""
        return f"{self.whole:016x}{self.inner:016x}"


NO_HASH = PerceptualHash(0, 0)


def hash_in(text: str) -> PerceptualHash:
    """The hash that these 32 hex digits say; raises ValueError."""
    return PerceptualHash(int(text[:16], 16), int(text[16:], 16))


def perceptual_hash(image: Image) -> PerceptualHash:
    """The hash of an RGB picture. Of a plain picture it says nothing: looks must agree too."""
    grey = image.convert("L")
    whole, box = _hash(grey), _inner(grey)
    return PerceptualHash(whole, whole if box == (0, 0, *grey.size) else _hash(grey.crop(box)))


def bits_apart(one: PerceptualHash, other: PerceptualHash) -> int:
    """In how many of 64 bits the nearest two of them differ: about 32 when the pictures have nothing in common."""
    return min((mine ^ theirs).bit_count() for mine in one for theirs in other)


def _hash(grey: Image) -> int:
    rows = _cosines()
    low = rows @ np.asarray(grey.resize((SIDE, SIDE), Resampling.BOX), np.float64) @ rows.T
    return int.from_bytes(np.packbits(low > np.median(low)).tobytes(), "big")


def _inner(grey: Image) -> tuple[int, int, int, int]:
    """The box within the plain lines at the edges; all of the picture where next to nothing would be left."""
    factor = max(1, min(grey.size) // EDGE_SIDE)
    pixels = np.asarray(grey.reduce(factor) if factor > 1 else grey, np.int16)
    top, bottom = _without_plain(pixels.min(1), pixels.max(1))
    left, right = _without_plain(pixels.min(0), pixels.max(0))
    width, height = grey.size
    return left * factor, top * factor, min(width, right * factor), min(height, bottom * factor)


def _without_plain(darkest: NDArray[np.int16], lightest: NDArray[np.int16]) -> tuple[int, int]:
    """From which line to which, when those at either end that are plain, and alike, are left out."""
    start, end = _plain(darkest, lightest), len(darkest) - _plain(darkest[::-1], lightest[::-1])
    return (start, end) if end - start >= LEAST_INNER * len(darkest) else (0, len(darkest))


def _plain(darkest: NDArray[np.int16], lightest: NDArray[np.int16]) -> int:
    """How many of the first lines are, taken together, plain."""
    spread = np.maximum.accumulate(lightest) - np.minimum.accumulate(darkest)
    return int(np.searchsorted(spread, PLAIN, side="right"))


def _cosines() -> NDArray[np.float64]:
    """[KEPT, SIDE]: the rows 1 to KEPT of the cosine transform (DCT-II)."""
    steps, waves = np.arange(SIDE) + 0.5, np.arange(1, KEPT + 1)[:, np.newaxis]
    return np.cos(np.pi / SIDE * waves * steps)
