"""Perceptual hashes: 64 bits that stay much the same when a picture is resized or recompressed."""

import numpy as np
from PIL.Image import Image, Resampling

SIDE, KEPT = 32, 8
"""A grey picture of SIDE x SIDE, of whose cosine transform the KEPT x KEPT lowest frequencies count, but for the
means of rows and columns (Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions", 2010)."""
BITS = KEPT * KEPT


def perceptual_hash(image: Image) -> int:
    """The hash of an RGB picture, 0..2^64-1. Of a plain picture it says nothing: looks must agree too."""
    small = image.convert("L").resize((SIDE, SIDE), Resampling.BOX)
    rows = _cosines()
    low = rows @ np.asarray(small, np.float64) @ rows.T
    return int.from_bytes(np.packbits(low > np.median(low)).tobytes(), "big")


def bits_apart(one: int, other: int) -> int:
    """In how many of their 64 bits two hashes differ: about 32 when the pictures have nothing in common."""
    return (one ^ other).bit_count()


def _cosines() -> "np.typing.NDArray[np.float64]":
    """[KEPT, SIDE]: the rows 1 to KEPT of the cosine transform (DCT-II)."""
    steps, waves = np.arange(SIDE) + 0.5, np.arange(1, KEPT + 1)[:, np.newaxis]
    return np.cos(np.pi / SIDE * waves * steps)
