"""Region detector: finds the boxes of the things in a picture, of whatever kind, by the maps of EfficientNet-Lite0.

    whole picture, squeezed to 256 x 256 -> Lite0 -> middle map 16 x 16, last map 8 x 8
    both maps -> RegionHead -> at each of 16 x 16 cells: objectness, and the distances to the sides of a box
    boxes by objectness -> non-maximum suppression -> at most 5

The squeezed picture is a view of its own, because the encoder's is the centre square, which lacks a quarter of a
photo of 4:3. So the detector works with any encoder. The head is fitted on composites of catalogue things
(tests/evaluation/fit_regions.py). Its output has the form of FCOS (Tian et al., 2019, arXiv 1904.01355); the
objectness learns the overlap of its box (Li et al., Generalized focal loss, 2020, arXiv 2006.04388).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from PIL.Image import Image
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import interpolate

from infra.array_types import Box, Floats, Integers
from infra.config.settings import TorchSettings
from infra.encoder import WEIGHTS
from infra.encoder.efficientnet import HEAD, MIDDLE_STAGE, stages
from infra.encoder.lite import FeatureNetwork, open_network
from infra.encoder.runtime import Runtime, open_runtime
from infra.images.resize import resize_bicubic

VARIANT, SIDE = 0, 256
"""The network, and the side of its input in pixels."""
WIDTH = 64
"""Channels inside the head."""
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


class RegionHead(nn.Module):
    """Convolutions on both feature maps: a logit of the objectness and four exponents of distances at each cell."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Conv2d(HEAD, WIDTH, 1)
        self.middle = nn.Conv2d(stages(VARIANT)[MIDDLE_STAGE].width, WIDTH, 1)
        self.mix = nn.Conv2d(2 * WIDTH, WIDTH, 3, padding=1)
        self.refine = nn.Conv2d(WIDTH, WIDTH, 3, padding=1)
        self.output = nn.Conv2d(WIDTH, 5, 1)

    def forward(self, middle: Tensor, last: Tensor) -> Tensor:
        """Map float maps [N, 80, h, w] and [N, 1280, h / 2, w / 2] to [N, 5, h, w]."""
        wide = interpolate(torch.relu(self.last(last)), size=middle.shape[-2:], mode="nearest")
        mixed = torch.relu(self.mix(torch.cat([torch.relu(self.middle(middle)), wide], 1)))
        out: Tensor = self.output(mixed + torch.relu(self.refine(mixed)))
        return out


def decode_boxes(output: Tensor) -> tuple[Tensor, Tensor]:
    """Logits [N, h, w] and boxes [N, h, w, 4], as shares of the sides, of the head's output [N, 5, h, w]."""
    rows, columns = output.shape[-2:]
    y = ((torch.arange(rows) + 0.5) / rows)[None, :, None]
    x = ((torch.arange(columns) + 0.5) / columns)[None, None, :]
    left, top, right, bottom = torch.exp(output[:, 1:].clamp(MIN_EXPONENT, MAX_EXPONENT)).mul(UNIT_SIDE).unbind(1)
    return output[:, 0], torch.stack([x - left, y - top, x + right, y + bottom], -1).clamp(0, 1)


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
    """Finds things by a network and a head on its maps; consumers.vision.regions.Detector is its contract."""

    network: FeatureNetwork
    head: RegionHead
    runtime: Runtime
    name: str = "default"

    def detect(self, images: Sequence[Image]) -> list[list[ScoredBox]]:
        """The things of each upright RGB picture, at most 5, the most certain first."""
        if not images:
            return []
        with torch.inference_mode():
            middle, last = self.network(squeeze(images).to(self.runtime.device, self.runtime.dtype))
            logits, boxes = decode_boxes(self.head(middle.float().cpu(), last.float().cpu()))
        scores = torch.sigmoid(logits).flatten(1).numpy()
        found = zip(images, scores, boxes.flatten(1, 2).numpy(), strict=True)
        return [_scored_boxes(image, *values) for image, *values in found]


def squeeze(images: Sequence[Image]) -> Tensor:
    """Squeeze pictures to normalised pixels, float [N, 3, SIDE, SIDE]."""
    squares = [resize_bicubic(image, (0, 0, *image.size), SIDE) for image in images]
    return torch.from_numpy(np.stack(squares)).permute(0, 3, 1, 2).float().sub(127).div(128)


def _scored_boxes(image: Image, scores: Floats, boxes: Floats) -> list[ScoredBox]:
    sides = np.array([image.width, image.height] * 2, np.float64)
    return [
        ScoredBox((left, top, right, bottom), float(scores[at]))
        for at in suppress(scores, boxes)
        for left, top, right, bottom in [(boxes[at] * sides).tolist()]
    ]


def open_region_detector(settings: TorchSettings) -> RegionDetector:
    """Open the detector `default`; raises EncoderUnavailable when the weights of its network are not installed."""
    runtime, head = open_runtime(settings), RegionHead()
    head.load_state_dict(
        {name: value.float() for name, value in load_file(WEIGHTS / "regions.safetensors").items()}
    )
    return RegionDetector(open_network(VARIANT, SIDE, runtime), head, runtime)
