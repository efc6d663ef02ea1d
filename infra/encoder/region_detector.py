"""Region detector: finds the boxes of the things in a picture, of whatever kind, by the maps of EfficientNet-Lite0.

    whole picture, squeezed to 256 x 256 -> Lite0 -> middle map 16 x 16, last map 8 x 8
    both maps -> RegionHead -> at each of 16 x 16 cells: objectness, and the distances to the sides of a box
    boxes by objectness -> non-maximum suppression -> at most 5

The squeezed picture is a view of its own, because the encoder's is the centre square, which lacks a quarter of a
photo of 4:3. So the detector works with any encoder. The head is fitted on composites of catalogue things
(tests/evaluation/fit_regions.py). Its output has the form of FCOS (Tian et al., 2019, arXiv 1904.01355); the
objectness learns the overlap of its box (Li et al., Generalized focal loss, 2020, arXiv 2006.04388).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image
from safetensors.numpy import load_file

from infra.array_types import Box, Floats, Integers
from infra.config.settings import TorchSettings
from infra.encoder import WEIGHTS
from infra.encoder.checkpoint import Kernel
from infra.encoder.lite import checkpoint, choose_engine
from infra.encoder.openvino import compile_maps, compile_region_head
from infra.images.resize import resize_bicubic

VARIANT, SIDE = 0, 256
"""The network, and the side of its input in pixels."""
HEAD_FILE = WEIGHTS / "regions.safetensors"
UNIT_SIDE, MIN_EXPONENT, MAX_EXPONENT = 0.25, -6.0, 1.5
"""A distance is UNIT_SIDE times e to the power of the output, as a share of the picture's side."""
MAX_REGIONS = 5
MIN_OBJECTNESS = 0.05
"""Boxes with less are never returned."""
MAX_OVERLAP = 0.45
"""Intersection over union above which the box with less objectness is left out."""


class ScoredBox(NamedTuple):
    """A box in pixels of the picture, and how surely it is that of a whole thing, 0 to 1."""

    box: Box
    objectness: float


def decode_boxes(output: Floats) -> tuple[Floats, Floats]:
    """Objectness [N, h, w] and boxes [N, h, w, 4], as shares of the sides, of the head's output [N, 5, h, w]."""
    rows, columns = output.shape[-2:]
    y = ((np.arange(rows, dtype=np.float32) + 0.5) / rows)[None, :, None]
    x = ((np.arange(columns, dtype=np.float32) + 0.5) / columns)[None, None, :]
    distances = UNIT_SIDE * np.exp(np.clip(output[:, 1:], MIN_EXPONENT, MAX_EXPONENT))
    left, top, right, bottom = np.moveaxis(distances, 1, 0)
    boxes = np.stack([x - left, y - top, x + right, y + bottom], -1).clip(0, 1).astype(np.float32)
    objectness = (1 / (1 + np.exp(-output[:, 0]))).astype(np.float32)
    return objectness, boxes


def suppress(scores: Floats, boxes: Floats) -> list[int]:
    """Indices of at most MAX_REGIONS boxes [n, 4] by score, none of which overlaps one before it by much."""
    chosen: list[int] = []
    order: Integers = np.argsort(-scores, kind="stable")
    for at in order:
        if scores[at] < MIN_OBJECTNESS or len(chosen) == MAX_REGIONS:
            break
        if not chosen or overlaps(boxes[at], boxes[chosen]).max() <= MAX_OVERLAP:
            chosen.append(int(at))
    return chosen


def overlaps(box: Floats, others: Floats) -> Floats:
    """Intersection over union of a box [4] with each of others [n, 4]."""
    sides = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    shared = np.prod(np.maximum(sides, 0), axis=1)
    areas = np.prod(others[:, 2:] - others[:, :2], axis=1) + np.prod(box[2:] - box[:2])
    shares: Floats = shared / np.maximum(areas - shared, 1e-9)
    return shares


@dataclass(frozen=True, eq=False)
class RegionDetector:
    """Finds things by a network and a head on its maps; consumers.vision.regions.Detector is its contract.

    `output` maps squeezed pictures, uint8 [N, SIDE, SIDE, 3], to the output of the head, float32 [N, 5, h, w].
    """

    output: Callable[[NDArray[np.uint8]], Floats]
    name: str = "default"

    def detect(self, images: Sequence[Image]) -> list[list[ScoredBox]]:
        """The things of each upright RGB picture, at most 5, the most certain first."""
        if not images:
            return []
        scores, boxes = decode_boxes(self.output(squeeze(images)))
        found = zip(images, scores.reshape(len(images), -1), boxes.reshape(len(images), -1, 4), strict=True)
        return [_scored_boxes(image, *values) for image, *values in found]


def squeeze(images: Sequence[Image]) -> NDArray[np.uint8]:
    """Squeeze pictures to squares, uint8 [N, SIDE, SIDE, 3]."""
    return np.stack([resize_bicubic(image, (0, 0, *image.size), SIDE) for image in images])


def _scored_boxes(image: Image, scores: Floats, boxes: Floats) -> list[ScoredBox]:
    sides = np.array([image.width, image.height] * 2, np.float64)
    return [
        ScoredBox((left, top, right, bottom), float(scores[at]))
        for at in suppress(scores, boxes)
        for left, top, right, bottom in [(boxes[at] * sides).tolist()]
    ]


def open_region_detector(settings: TorchSettings) -> RegionDetector:
    """Open the detector `default`; raises EncoderUnavailable when the weights of its network are not installed."""
    tensors = {name: value.astype(np.float32) for name, value in load_file(HEAD_FILE).items()}
    if choose_engine(settings) == "torch":
        from infra.encoder.region_head import open_output  # an extra, and seconds to import

        return RegionDetector(open_output(checkpoint(VARIANT), tensors, settings))
    network = compile_maps(checkpoint(VARIANT), VARIANT, SIDE, settings)
    kernels = {
        name: Kernel(tensors[f"{name}.weight"], tensors[f"{name}.bias"])
        for name in (key.removesuffix(".weight") for key in tensors if key.endswith(".weight"))
    }
    head = compile_region_head(kernels, SIDE, settings)
    return RegionDetector(lambda views: head(network(views)))
