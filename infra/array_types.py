"""Types of arrays: numbers, masks, pixels and vectors, and the box of a part of a picture."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Halves = NDArray[np.float16]
Integers = NDArray[np.int64]
Mask = NDArray[np.bool_]
Pixels = NDArray[np.uint8] | NDArray[np.float32]
Box = tuple[float, float, float, float]
"""Left, top, right and bottom edges of a part of a picture, in pixels."""
