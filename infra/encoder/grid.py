"""Grid encoder: computes colour and contrast on a grid, for `fake` and `fake2`; fast, simple and without torch."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image, Resampling

from infra.array_types import Box, Floats
from infra.encoder import PreparedViews

GRID_CELLS, CELL_PIXELS = 4, 8


@dataclass(frozen=True)
class GridEncoder:
    """Encoder with mean RGB of 4 x 4 cells minus mid-grey as object, and the cells' grey deviation as style."""

    fingerprint: str = "fake:1"
    object_size: int = GRID_CELLS * GRID_CELLS * 3
    style_size: int = GRID_CELLS * GRID_CELLS

    def prepare(self, image: Image, box: Box) -> NDArray[np.uint8]:
        """Resize a box of an RGB picture to uint8 [32, 32, 3], regardless of its aspect ratio."""
        return np.asarray(image.resize((GRID_CELLS * CELL_PIXELS, GRID_CELLS * CELL_PIXELS), Resampling.BOX, box))

    def prepare_region(self, image: Image, box: Box) -> NDArray[np.uint8]:
        """The same for a thing in a picture."""
        return self.prepare(image, box)

    def run(self, batch: Sequence[PreparedViews]) -> Floats:
        """Encode N pictures by their first view: float32 [N, 64], both parts of unit length."""
        if not batch:
            return np.empty((0, self.object_size + self.style_size), np.float32)
        values = np.stack([views[0] for views, _ in batch]).astype(np.float32) / 255
        cells = values.reshape(-1, GRID_CELLS, CELL_PIXELS, GRID_CELLS, CELL_PIXELS, 3)
        mean_colours = cells.mean((2, 4)).reshape(-1, self.object_size) - 0.5
        contrast = cells.mean(5).std((2, 4)).reshape(-1, self.style_size)
        return np.concatenate([_l2_normalise(mean_colours), _l2_normalise(contrast)], axis=1).astype(np.float32)


def _l2_normalise(rows: Floats) -> Floats:
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    first_axis = np.eye(1, rows.shape[1], dtype=np.float32)
    # A picture of one colour has no contrast: its row is zero and has no direction. It becomes the first axis.
    normalised: Floats = np.where(norms > 1e-6, rows / np.maximum(norms, 1e-6), first_axis)
    return normalised
