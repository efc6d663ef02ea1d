"""The encoders `fake` and `fake2`: colours and contrast over a grid, quick, without torch, checkable by hand."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image, Resampling

CELLS, CELL = 4, 8
Pixels = NDArray[np.uint8] | NDArray[np.float32]
Vectors = NDArray[np.float32]
Box = tuple[float, float, float, float]
Shown = tuple[tuple[Pixels, ...], bool]


@dataclass(frozen=True)
class GridEncoder:
    """Object: mean red, green and blue of 4 x 4 cells, less mid-grey. Style: standard deviation of their greys."""

    fingerprint: str = "fake:1"
    object_size: int = CELLS * CELLS * 3
    style_size: int = CELLS * CELLS

    def prepare(self, image: Image, box: Box) -> NDArray[np.uint8]:
        """A part of an RGB picture squashed to uint8 [32, 32, 3]."""
        return np.asarray(image.resize((CELLS * CELL, CELLS * CELL), Resampling.BOX, box))

    def run(self, batch: Sequence[Shown]) -> Vectors:
        """float32 [N, 64], both parts of unit length; of the first view alone."""
        if not batch:
            return np.empty((0, self.object_size + self.style_size), np.float32)
        values = np.stack([views[0] for views, _ in batch]).astype(np.float32) / 255
        cells = values.reshape(-1, CELLS, CELL, CELLS, CELL, 3)
        colours = cells.mean((2, 4)).reshape(-1, self.object_size) - 0.5
        contrast = cells.mean(5).std((2, 4)).reshape(-1, self.style_size)
        return np.concatenate([_unit(colours), _unit(contrast)], axis=1).astype(np.float32)


def _unit(rows: Vectors) -> Vectors:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    first = np.eye(1, rows.shape[1], dtype=np.float32)
    # A plain picture has no contrast and no direction: it gets the first axis.
    unit: Vectors = np.where(lengths > 1e-6, rows / np.maximum(lengths, 1e-6), first)
    return unit
