"""Arrays in notes: arrays as plain JSON values, as the notes of an index hold them."""

import base64

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.int8]


def pack_array(array: NDArray[np.float32] | NDArray[np.int8]) -> dict[str, object]:
    """Return an array as plain JSON values; float32 is stored as float16, which keeps three digits."""
    compact = array.astype(np.float16) if array.dtype == np.float32 else array
    return {
        "type": str(compact.dtype),
        "shape": list(compact.shape),
        "data": base64.b64encode(compact.tobytes()).decode(),
    }


def unpack_array(values: object) -> NDArray[np.float16] | NDArray[np.int8]:
    """Return the array in such values. Raises ValueError when they hold none."""
    match values:
        case {"type": "float16" | "int8" as kind, "shape": list(shape), "data": str(data)}:
            return np.frombuffer(base64.b64decode(data), kind).reshape(shape)
    raise ValueError("a note of the index holds no array where one should be")
