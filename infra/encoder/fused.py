"""EfficientNet-Lite on a CPU, about twice as fast as plain: oneDNN's fused convolutions, pictures side by side.

Four things make the difference; the arithmetic stays that of the network in efficientnet.py:

- ReLU6 and the sum of a block happen inside the convolution, not in passes of their own over memory.
- The weights lie in oneDNN's order from the start.
- TensorFlow's one-sided padding becomes a zero row and column of the kernel: no padded copy of the map.
- Every thread takes pictures of its own. Threads that share one picture wait for each other at every layer, which
  on a busy machine costs more than the computing.

The operators are those that torch.compile emits, without the half minute that compiling takes. They are private to
torch, whose version is pinned.
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

PAIR = 2
"""So few threads gain too little by sharing a picture (28 ms instead of 35) for a second copy of the weights."""
COARSE = 8
"""Maps finer than side / 8 are computed for one picture at a time: of more pictures together they leave the caches
(Lite2: 27 ms of a core for each of 8 pictures, 31 without this)."""


def fuse(network: EfficientNetLite, side: int, runtime: Runtime) -> Callable[[Tensor], FeatureMaps]:
    """`network.maps` for float pixels [N, 3, side, side], faster on a CPU; elsewhere the method itself.

    The batch norms must be folded. The maps are in the runtime's precision and agree with the network's own to
    rounding. It uses as many threads as torch has now, and holds them as long as the callable lives.
    """
    if runtime.device.type != "cpu" or not _fuses(runtime.dtype):
        return network.maps
    threads = torch.get_num_threads()
    with one_thread():
        alone = _pipeline(network, side, runtime.dtype)
    if threads == 1:
        return alone
    together = _pipeline(network, side, runtime.dtype) if threads > PAIR else None
    return ParallelBackbones(alone, together, _crew(threads), threads)


def _fuses(dtype: torch.dtype) -> bool:
    if not hasattr(torch.ops.mkldnn, "_convolution_pointwise"):
        return False
    return dtype == torch.float32 or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


@dataclass(frozen=True, eq=False)
class Convolution:
    """A convolution with what follows it; `after` is oneDNN's name for the activation and its limits."""

    weight: Tensor
    bias: Tensor
    padding: int
    stride: int
    groups: int
    after: tuple[str, list[float]]

    def __call__(self, x: Tensor) -> Tensor:
        """Channels last, [N, inputs, h, w] to [N, outputs, ceil(h / stride), ceil(w / stride)]."""
        name, limits = self.after
        out: Tensor = torch.ops.mkldnn._convolution_pointwise(
            x, self.weight, self.bias, *self._geometry(), name, limits, ""
        )
        return out

    def plus(self, x: Tensor, other: Tensor) -> Tensor:
        """The convolution of `x`, without its activation, plus `other`."""
        out: Tensor = torch.ops.mkldnn._convolution_pointwise.binary(
            x, other, self.weight, self.bias, *self._geometry(), "add", None, None, [], None
        )
        return out

    def _geometry(self) -> tuple[list[int], list[int], list[int], int]:
        return [self.padding] * 2, [self.stride] * 2, [1, 1], self.groups


@dataclass(frozen=True, eq=False)
class Bottleneck:
    """A block of fused convolutions."""

    expand: Convolution | None
    depthwise: Convolution
    project: Convolution
    adds: bool

    def __call__(self, x: Tensor) -> Tensor:
        wide = self.depthwise(self.expand(x) if self.expand else x)
        return self.project.plus(wide, x) if self.adds else self.project(wide)


@dataclass(frozen=True, eq=False)
class FusedPipeline:
    """The fused network: `fine` works on one picture at a time, the blocks up to `middle` and the rest on all."""

    dtype: torch.dtype
    stem: Convolution
    fine: list[Bottleneck]
    middle: list[Bottleneck]
    last: list[Bottleneck]
    head: Convolution

    def __call__(self, pixels: Tensor) -> FeatureMaps:
        x = pixels.to(self.dtype).contiguous(memory_format=torch.channels_last)
        middle = _through(self.middle, torch.cat([_through(self.fine, self.stem(one)) for one in x.chunk(len(x))]))
        return FeatureMaps(middle, self.head(_through(self.last, middle)))


def _through(blocks: list[Bottleneck], x: Tensor) -> Tensor:
    for block in blocks:
        x = block(x)
    return x


@dataclass(frozen=True, eq=False)
class ParallelBackbones:
    """A pipeline in several threads, each with its share of the pictures.

    oneDNN orders weights for as many threads as torch has just then; used by another number they are put in order
    at every call (Lite2, ms a picture on one thread: 30 to 35 if they were ordered for one, 51 to 173 else).
    """

    alone: FusedPipeline
    """Its weights lie as one thread wants them."""
    together: FusedPipeline | None
    """For fewer pictures than threads, which then share each of them, if there is one."""
    crew: ThreadPoolExecutor
    threads: int

    def __call__(self, pixels: Tensor) -> FeatureMaps:
        if len(pixels) < self.threads and self.together is not None:
            return self.together(pixels)
        parts = list(self.crew.map(self._look, pixels.tensor_split(min(len(pixels), self.threads))))
        return FeatureMaps(torch.cat([maps.middle for maps in parts]), torch.cat([maps.last for maps in parts]))

    def _look(self, pixels: Tensor) -> FeatureMaps:
        with torch.inference_mode():
            return self.alone(pixels)


def _crew(threads: int) -> ThreadPoolExecutor:
    """Threads inside which torch starts no threads of its own."""
    pool, all_here = ThreadPoolExecutor(threads, "fused"), Barrier(threads)

    def settle(_: int) -> None:
        torch.set_num_threads(1)
        torch.get_num_threads()  # keeps it: else a thread's first work takes the number that was last set anywhere
        all_here.wait()

    list(pool.map(settle, range(threads)))
    torch.set_num_threads(threads)  # a thread's own number, once set, also becomes that of threads born later
    return pool


def _pipeline(network: EfficientNetLite, side: int, dtype: torch.dtype) -> FusedPipeline:
    stem, size = _convolution(network.stem, side, dtype)
    blocks, fine = [], 0
    for n, block in enumerate(network.blocks):
        if size > -(-side // COARSE) and n <= network.middle:
            fine = n + 1
        fused, size = _bottleneck(block, size, dtype)
        blocks.append(fused)
    head, _ = _convolution(network.head, size, dtype)
    after = network.middle + 1
    return FusedPipeline(dtype, stem, blocks[:fine], blocks[fine:after], blocks[after:], head)


def _bottleneck(block: nn.Module, size: int, dtype: torch.dtype) -> tuple[Bottleneck, int]:
    assert isinstance(block, Block)
    expand = _convolution(block.expand, size, dtype)[0] if isinstance(block.expand, Unit) else None
    depthwise, smaller = _convolution(block.depthwise, size, dtype)
    project, _ = _convolution(block.project, smaller, dtype)
    return Bottleneck(expand, depthwise, project, block.adds), smaller


def _convolution(unit: Unit, size: int, dtype: torch.dtype) -> tuple[Convolution, int]:
    """The fused convolution for square maps of `size`, and the size of what it gives."""
    conv = unit.conv
    assert conv.bias is not None, "fold the network first"
    (kernel, _), (stride, _) = conv.kernel_size, conv.stride
    smaller = (size + stride - 1) // stride
    missing = max((smaller - 1) * stride + kernel - size, 0)
    # An odd pixel of padding belongs after the map: a zero row and column before the kernel puts one there.
    weight = pad(conv.weight.detach(), (missing % 2, 0, missing % 2, 0))
    padding = (missing + 1) // 2
    packed = torch.ops.mkldnn._reorder_convolution_weight(
        weight.to(dtype).contiguous(memory_format=torch.channels_last),
        [padding] * 2,
        [stride] * 2,
        [1, 1],
        conv.groups,
        # The order depends on the shape of the input; without one, some layers reorder at every call.
        [1, conv.in_channels, size, size],
    )
    after: tuple[str, list[float]] = ("hardtanh", [0, 6]) if isinstance(unit.activation, nn.ReLU6) else ("none", [])
    bias = conv.bias.detach().to(dtype)
    return Convolution(packed, bias, padding, stride, conv.groups, after), smaller
