"""Keypoints: local features of a picture, by which two pictures can be seen to show the same thing.

SIFT finds corners and blobs, and describes the surroundings of each by 128 numbers. Their signs relative to their
median are kept, 16 bytes: 166 keypoints with their positions take 3 kB, in base64 4 kB.
"""

import struct
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image, Resampling

from infra.array_types import Floats

SHORT_SIDE = 160
"""Shorter side in pixels of the grey picture in which keypoints are found; smaller pictures keep their size.

With 240 it takes twice as long, and the same photos of groceries find the product first: 154 of 296 among studio
pictures, and 226 of 296 among photos, where it is 224 with 160."""
STORED_KEYPOINTS, QUERY_KEYPOINTS = 166, 500
"""Most keypoints of a picture in the index, which take 4 kB in base64, and of a query: the strongest. More of them
in a query cost nothing in the index, and find twice as many matches (DECISIONS.md)."""
CODE_BYTES = 16
"""Bytes of a code: one bit for each of the 128 numbers of a SIFT descriptor."""
HEADER = struct.Struct("<HH")
"""Width and height of the grey picture, before the keypoints in their packed form."""
POSITION_STEPS = 255
"""Steps of a packed position across the picture: one pixel of 255, far below the tolerance of a match."""

KeypointCodes = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Keypoints:
    """Keypoints of a picture: positions (x, y) as shares of its sides, float32 [n, 2], and codes, uint8 [n, 16].

    The strongest are first. `width` and `height` are those of the grey picture, in pixels.
    """

    width: int
    height: int
    positions: Floats
    codes: KeypointCodes

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def pixels(self) -> Floats:
        """Positions in pixels of the grey picture, float32 [n, 2]."""
        scaled: Floats = (self.positions * np.array([self.width, self.height])).astype(np.float32)
        return scaled

    def pack(self, most: int = QUERY_KEYPOINTS) -> bytes:
        """Return the strongest keypoints packed: HEADER, then 2 bytes for each position, then the codes."""
        steps = np.round(self.positions[:most] * POSITION_STEPS).astype(np.uint8)
        return HEADER.pack(self.width, self.height) + steps.tobytes() + self.codes[:most].tobytes()


NO_KEYPOINTS = Keypoints(0, 0, np.empty((0, 2), np.float32), np.empty((0, CODE_BYTES), np.uint8))


def unpack_keypoints(data: bytes) -> Keypoints:
    """Return the keypoints in their packed form. Raises ValueError for other bytes."""
    count, rest = divmod(len(data) - HEADER.size, 2 + CODE_BYTES)
    if count < 0 or rest:
        raise ValueError(f"{len(data)} bytes are no packed keypoints")
    width, height = HEADER.unpack_from(data)
    steps = np.frombuffer(data, np.uint8, 2 * count, HEADER.size).reshape(count, 2)
    codes = np.frombuffer(data, np.uint8, CODE_BYTES * count, HEADER.size + 2 * count).reshape(count, CODE_BYTES)
    return Keypoints(width, height, (steps / POSITION_STEPS).astype(np.float32), codes)


def find_keypoints(image: Image, most: int = QUERY_KEYPOINTS) -> Keypoints:
    """Return the strongest keypoints of a picture, at most `most`; it may have none.

    Source: D. Lowe, Distinctive image features from scale-invariant keypoints, IJCV 2004.
    """
    scale = min(1.0, SHORT_SIDE / min(image.size))
    width, height = (max(1, round(side * scale)) for side in image.size)
    grey = np.asarray(image.convert("L").resize((width, height), Resampling.BILINEAR, reducing_gap=2.0))
    found, descriptors = cv2.SIFT.create(nfeatures=most).detectAndCompute(grey, None)
    if descriptors is None or not len(found):
        return NO_KEYPOINTS
    strongest = sorted(range(len(found)), key=lambda n: -found[n].response)[:most]
    positions = np.array([found[n].pt for n in strongest], np.float32) / np.array([width, height], np.float32)
    rows = descriptors[strongest]
    codes = np.packbits(rows > np.median(rows, axis=1, keepdims=True), axis=1)
    return Keypoints(width, height, np.clip(positions, 0, 1).astype(np.float32), codes)
