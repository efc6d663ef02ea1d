"""A detector for drawn pictures: the connected parts that differ from the colour of the picture's first pixel."""

from collections.abc import Sequence

import cv2
import numpy as np
from PIL.Image import Image

from infra.array_types import Box

MIN_DIFFERENCE, MIN_AREA = 40, 64
"""Of a channel, and in pixels."""


class ComponentDetector:
    """Finds parts in other colours than the ground, the largest first; their objectness grows with their size."""

    name = "components"

    def detect(self, images: Sequence[Image]) -> list[list[tuple[Box, float]]]:
        return [self._components(np.asarray(image, np.int16)) for image in images]

    def _components(self, pixels: np.ndarray[tuple[int, ...], np.dtype[np.int16]]) -> list[tuple[Box, float]]:
        mask = (np.abs(pixels - pixels[0, 0]).max(2) > MIN_DIFFERENCE).astype(np.uint8)
        _, _, stats, _ = cv2.connectedComponentsWithStats(mask)
        found = [
            ((float(x), float(y), float(x + width), float(y + height)), 0.8 + 0.2 * area / mask.size)
            for x, y, width, height, area in stats[1:].tolist()
            if area >= MIN_AREA
        ]
        return sorted(found, key=lambda each: -each[1])
