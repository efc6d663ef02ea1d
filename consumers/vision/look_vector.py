"""Look vectors: the vector of a look, how its parts are weighted, and by which code it was computed.

look = [object | style | colour]      each part of unit length
query = the same, each part times its weight, so that the dot product is the weighted sum of the cosines
"""

from hashlib import sha256
from pathlib import Path

import numpy as np

from consumers.vision.colour import COLOUR_SIZE
from consumers.vision.contracts import Encoder
from infra.array_types import Floats
from infra.images import decode as decoding
from schemas.ranking import Weights

UNIT_TOLERANCE = 0.01
"""Largest deviation from 1 of the length of a part: encoders may round to 8 bits of mantissa."""


def has_unit_parts(vector: Floats, encoder: Encoder) -> bool:
    """Whether object, style and colour each have unit length or are all zeros; this excludes NaN and infinity."""
    parts = np.split(vector.astype(np.float64), [encoder.object_size, encoder.object_size + encoder.style_size])
    lengths = np.array([np.linalg.norm(part) for part in parts])
    return bool(np.all((lengths == 0) | (np.abs(lengths - 1) < UNIT_TOLERANCE)))


def look_size(encoder: Encoder) -> int:
    """Dimensions of a look vector: object, style and colour together."""
    return encoder.object_size + encoder.style_size + COLOUR_SIZE


def weight_look(vector: Floats, weights: Weights, object_size: int, style_size: int) -> Floats:
    """Multiply each part of `vector` by its share of the weights; the dot product with a look is then the score."""
    shares = np.array([weights.object, weights.style, weights.colour]) / (
        weights.object + weights.style + weights.colour
    )
    sizes = [object_size, style_size, len(vector) - object_size - style_size]
    return (vector * np.repeat(shares, sizes)).astype(np.float32)


def look_code_version() -> str:
    """Hash of the source files of this folder and of infra/images: by another code, stored looks are invalid."""
    digest = sha256()
    for path in sorted((*Path(__file__).parent.glob("*.py"), *Path(decoding.__file__).parent.glob("*.py"))):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
