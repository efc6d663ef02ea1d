"""Fused EfficientNet-Lite: runs the network on a CPU about twice as fast as plain torch, with oneDNN's operators.

It computes the same function as the network in efficientnet.py. Four optimisations make it faster:

- ReLU6 and the residual sum are fused into the convolution, which saves separate passes over memory.
- The weights are reordered into oneDNN's layout once, at the start.
- TensorFlow's one-sided padding becomes a zero row and column of the kernel, which avoids a padded copy of the map.
- Each thread processes different pictures. Threads that share a picture wait for each other at every layer, which
  costs more than the computation on a busy machine.

The operators are those that torch.compile emits, without its compilation time of half a minute. They are private
operators of torch, whose version is pinned.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Barrier

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from infra.encoder.efficientnet import Block, EfficientNetLite, FeatureMaps, Unit
from infra.encoder.runtime import Runtime, one_thread

MAX_UNSHARED_THREADS = 2
"""Largest number of threads for which sharing a picture gains too little (28 ms instead of 35) to justify a second
copy of the weights."""
HIGH_RESOLUTION_STRIDE = 8
"""Maps larger than side / 8 are computed for one picture at a time: those of several pictures exceed the caches
(Lite2: 27 ms of a core for each of 8 pictures, 31 without this)."""

MAX_BATCH = 2
"""Pictures that a thread computes at once. From 3 on, oneDNN chooses another layout for layers of 192 channels in
bfloat16, and reorders their weights at every call (Lite1, a batch of 8: 157 ms, in pairs 111)."""


def fuse(network: EfficientNetLite, side: int, runtime: Runtime) -> Callable[[Tensor], FeatureMaps]:
    """Make a faster `network.maps` for float pixels [N, 3, side, side] on a CPU, or return the method itself.

    It returns `network.maps` on other devices or without the operators. The batch norms must be folded.
    The maps have the runtime's precision and equal those of the network except for rounding. The callable uses
    torch's current number of threads and keeps the threads for its lifetime.
    """
    if runtime.device.type != "cpu" or not _supports_fusion(runtime.dtype):
        return network.maps
    threads = torch.get_num_threads()
    with one_thread():
        per_thread = _pipeline(network, side, runtime.dtype)
    if threads == 1:
        return per_thread
    shared = _pipeline(network, side, runtime.dtype) if threads > MAX_UNSHARED_THREADS else None
    return ParallelBackbones(per_thread, shared, _start_threads(threads), threads)


def _supports_fusion(dtype: torch.dtype) -> bool:
    if not hasattr(torch.ops.mkldnn, "_convolution_pointwise"):
        return False
    return dtype == torch.float32 or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


@dataclass(frozen=True, eq=False)
class Convolution:
    """Convolution with a fused activation, given by oneDNN's name for it and its limits."""

    weight: Tensor
    bias: Tensor
    padding: int
    stride: int
    groups: int
    activation: tuple[str, list[float]]

    def __call__(self, x: Tensor) -> Tensor:
        """Map [N, inputs, h, w] in channels-last order to [N, outputs, ceil(h / stride), ceil(w / stride)]."""
        name, limits = self.activation
        out: Tensor = torch.ops.mkldnn._convolution_pointwise(
            x, self.weight, self.bias, *self._geometry(), name, limits, ""
        )
        return out

    def convolve_and_add(self, x: Tensor, other: Tensor) -> Tensor:
        """Compute the convolution of `x`, without its activation, plus `other` in one pass."""
        out: Tensor = torch.ops.mkldnn._convolution_pointwise.binary(
            x, other, self.weight, self.bias, *self._geometry(), "add", None, None, [], None
        )
        return out

    def _geometry(self) -> tuple[list[int], list[int], list[int], int]:
        return [self.padding] * 2, [self.stride] * 2, [1, 1], self.groups


@dataclass(frozen=True, eq=False)
class Bottleneck:
    """Inverted bottleneck of fused convolutions."""

    expand: Convolution | None
    depthwise: Convolution
    project: Convolution
    has_residual: bool

    def __call__(self, x: Tensor) -> Tensor:
        expanded = self.depthwise(self.expand(x) if self.expand else x)
        return self.project.convolve_and_add(expanded, x) if self.has_residual else self.project(expanded)


@dataclass(frozen=True, eq=False)
class FusedPipeline:
    """Fused network: `high_resolution` blocks run on one picture at a time, all other blocks on two."""

    dtype: torch.dtype
    stem: Convolution
    high_resolution: list[Bottleneck]
    middle: list[Bottleneck]
    last: list[Bottleneck]
    head: Convolution

    def __call__(self, pixels: Tensor) -> FeatureMaps:
        parts = [self._compute_maps(part) for part in torch.split(pixels, MAX_BATCH)]
        return FeatureMaps(torch.cat([maps.middle for maps in parts]), torch.cat([maps.last for maps in parts]))

    def _compute_maps(self, pixels: Tensor) -> FeatureMaps:
        x = pixels.to(self.dtype).contiguous(memory_format=torch.channels_last)
        middle = _run_blocks(
            self.middle,
            torch.cat([_run_blocks(self.high_resolution, self.stem(picture)) for picture in x.chunk(len(x))]),
        )
        return FeatureMaps(middle, self.head(_run_blocks(self.last, middle)))


def _run_blocks(blocks: list[Bottleneck], x: Tensor) -> Tensor:
    for block in blocks:
        x = block(x)
    return x


@dataclass(frozen=True, eq=False)
class ParallelBackbones:
    """Pipeline that distributes the pictures of a batch over several threads.

    oneDNN reorders weights for torch's current number of threads; with another number it reorders them again at
    every call (Lite2, ms a picture on one thread: 30 to 35 with weights for one thread, otherwise 51 to 173).
    """

    per_thread: FusedPipeline
    """Pipeline with weights in the layout for one thread."""
    shared: FusedPipeline | None
    """Pipeline for fewer pictures than threads, in which all threads share a picture; None with few threads."""
    crew: ThreadPoolExecutor
    threads: int

    def __call__(self, pixels: Tensor) -> FeatureMaps:
        if len(pixels) < self.threads and self.shared is not None:
            return self.shared(pixels)
        results = list(self.crew.map(self._run_per_thread, pixels.tensor_split(min(len(pixels), self.threads))))
        return FeatureMaps(torch.cat([maps.middle for maps in results]), torch.cat([maps.last for maps in results]))

    def _run_per_thread(self, pixels: Tensor) -> FeatureMaps:
        with torch.inference_mode():
            return self.per_thread(pixels)


def _start_threads(threads: int) -> ThreadPoolExecutor:
    """Start an executor in whose threads torch starts no threads of its own."""
    executor, all_started = ThreadPoolExecutor(threads, "fused"), Barrier(threads)

    def pin_thread(_: int) -> None:
        torch.set_num_threads(1)
        torch.get_num_threads()  # fixes it: otherwise a thread's first operation uses the number last set anywhere
        all_started.wait()

    list(executor.map(pin_thread, range(threads)))
    torch.set_num_threads(threads)  # the number set in a thread also applies to threads that start later
    return executor


def _pipeline(network: EfficientNetLite, side: int, dtype: torch.dtype) -> FusedPipeline:
    stem, size = _convolution(network.stem, side, dtype)
    blocks, split = [], 0
    for n, block in enumerate(network.blocks):
        if size > -(-side // HIGH_RESOLUTION_STRIDE) and n <= network.middle:
            split = n + 1
        fused, size = _bottleneck(block, size, dtype)
        blocks.append(fused)
    head, _ = _convolution(network.head, size, dtype)
    after_middle = network.middle + 1
    return FusedPipeline(dtype, stem, blocks[:split], blocks[split:after_middle], blocks[after_middle:], head)


def _bottleneck(block: nn.Module, size: int, dtype: torch.dtype) -> tuple[Bottleneck, int]:
    assert isinstance(block, Block)
    expand = _convolution(block.expand, size, dtype)[0] if isinstance(block.expand, Unit) else None
    depthwise, output_size = _convolution(block.depthwise, size, dtype)
    project, _ = _convolution(block.project, output_size, dtype)
    return Bottleneck(expand, depthwise, project, block.has_residual), output_size


def _convolution(unit: Unit, size: int, dtype: torch.dtype) -> tuple[Convolution, int]:
    """Fuse a convolution for square maps of `size`; returns it with the size of its output."""
    conv = unit.conv
    assert conv.bias is not None, "fold the network first"
    (kernel, _), (stride, _) = conv.kernel_size, conv.stride
    output_size = (size + stride - 1) // stride
    total_padding = max((output_size - 1) * stride + kernel - size, 0)
    # An odd pixel of padding goes at the end of the map: a zero row and column before the kernel has this effect.
    weight = pad(conv.weight.detach(), (total_padding % 2, 0, total_padding % 2, 0))
    padding = (total_padding + 1) // 2
    reordered = torch.ops.mkldnn._reorder_convolution_weight(
        weight.to(dtype).contiguous(memory_format=torch.channels_last),
        [padding] * 2,
        [stride] * 2,
        [1, 1],
        conv.groups,
        # The layout depends on the input shape; without it, some layers reorder their weights at every call.
        [1, conv.in_channels, size, size],
    )
    activation: tuple[str, list[float]] = (
        ("hardtanh", [0, 6]) if isinstance(unit.activation, nn.ReLU6) else ("none", [])
    )
    bias = conv.bias.detach().to(dtype)
    return Convolution(reordered, bias, padding, stride, conv.groups, activation), output_size
