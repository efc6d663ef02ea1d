"""Region head: the head of the region detector as a torch module, to fit it, and to run it on a GPU."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import interpolate

from infra.array_types import Floats
from infra.config.settings import TorchSettings
from infra.encoder.region_detector import MAX_EXPONENT, MIN_EXPONENT, SIDE, UNIT_SIDE, VARIANT
from infra.encoder.runtime import open_runtime
from infra.encoder.stages import HEAD, MIDDLE_STAGE, stages
from infra.encoder.torch_lite import normalise_pixels, open_network

WIDTH = 64
"""Channels inside the head."""


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
    """Logits [N, h, w], and boxes as those of region_detector.decode_boxes, with gradients."""
    rows, columns = output.shape[-2:]
    y = ((torch.arange(rows) + 0.5) / rows)[None, :, None]
    x = ((torch.arange(columns) + 0.5) / columns)[None, None, :]
    left, top, right, bottom = torch.exp(output[:, 1:].clamp(MIN_EXPONENT, MAX_EXPONENT)).mul(UNIT_SIDE).unbind(1)
    return output[:, 0], torch.stack([x - left, y - top, x + right, y + bottom], -1).clamp(0, 1)


def open_output(
    checkpoint: Path, tensors: Mapping[str, Floats], settings: TorchSettings
) -> Callable[[NDArray[np.uint8]], Floats]:
    """Open the network and the head: the function that RegionDetector takes."""
    runtime, head = open_runtime(settings), RegionHead()
    head.load_state_dict({name: torch.from_numpy(value) for name, value in tensors.items()})
    network = open_network(checkpoint, VARIANT, SIDE, runtime)

    def output(views: NDArray[np.uint8]) -> Floats:
        with torch.inference_mode():
            middle, last = network(normalise_pixels(views, runtime))
            found: Floats = head(middle.float().cpu(), last.float().cpu()).numpy()
        return found

    return output
