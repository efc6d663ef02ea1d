"""EfficientNet-Lite on a CPU by OpenVINO, the optional second runtime: the same maps, faster still than fused.py.

The graph is written out operator by operator, which takes milliseconds; tracing the network takes seconds, and gets
TensorFlow's padding, `same_upper` here, right only by luck.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from infra.encoder import EncoderUnavailable
from infra.encoder.efficientnet import Block, EfficientNetLite, FeatureMaps, Unit
from infra.encoder.runtime import Runtime

Array = NDArray[np.float32]


def compile_maps(network: EfficientNetLite, side: int, runtime: Runtime) -> Callable[[Tensor], FeatureMaps]:
    """`network.maps` for float pixels [N, 3, side, side], compiled for this CPU; the maps are float32.

    The batch norms must be folded. It uses as many threads as torch has now, and computes in the runtime's
    precision. Raises EncoderUnavailable when OpenVINO is not installed.
    """
    try:
        import openvino
    except ImportError:
        raise EncoderUnavailable(
            "the openvino runtime is not installed: `pip install 'lookstream[openvino]'`"
        ) from None
    graph, core, threads = _graph(network, side), openvino.Core(), torch.get_num_threads()
    options = {
        # Left to itself OpenVINO takes bfloat16 wherever it exists, also where that is slower than float32.
        "INFERENCE_PRECISION_HINT": "bf16" if runtime.dtype == torch.bfloat16 else "f32",
        "INFERENCE_NUM_THREADS": threads,
    }
    one = core.compile_model(graph, "CPU", {**options, "PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1})
    many = core.compile_model(graph, "CPU", {**options, "PERFORMANCE_HINT": "THROUGHPUT", "NUM_STREAMS": threads})
    return CompiledMaps(one.create_infer_request(), openvino.AsyncInferQueue(many, threads), threads)


@dataclass(frozen=True, eq=False)
class CompiledMaps:
    """The network compiled twice: `one` puts every thread on one picture, `many` gives each thread its own."""

    one: Any
    many: Any
    threads: int
    lock: Lock = field(default_factory=Lock)

    def __call__(self, pixels: Tensor) -> FeatureMaps:
        """One call computes at a time; others wait."""
        given: Array = pixels.float().contiguous().numpy()
        pictures = [given[n : n + 1] for n in range(len(given))]
        with self.lock:
            seen = self._one_by_one(pictures) if len(pictures) < self.threads else self._together(pictures)
        middle, last = (torch.from_numpy(np.concatenate(maps)) for maps in zip(*seen, strict=True))
        return FeatureMaps(middle, last)

    def _one_by_one(self, pictures: list[Array]) -> list[tuple[Array, Array]]:
        seen = []
        for picture in pictures:
            self.one.infer([picture])
            seen.append(_outputs(self.one))
        return seen

    def _together(self, pictures: list[Array]) -> list[tuple[Array, Array]]:
        seen: dict[int, tuple[Array, Array]] = {}
        self.many.set_callback(lambda request, n: seen.update({n: _outputs(request)}))
        for n, picture in enumerate(pictures):
            self.many.start_async([picture], n)
        self.many.wait_all()
        return [seen[n] for n in range(len(pictures))]


def _outputs(request: Any) -> tuple[Array, Array]:
    # Copies: the request's next picture overwrites what it holds.
    return request.get_output_tensor(0).data.copy(), request.get_output_tensor(1).data.copy()


def _graph(network: EfficientNetLite, side: int) -> Any:
    from openvino import Model, opset13

    pixels = opset13.parameter([1, 3, side, side], np.float32)
    seen = [_unit(network.stem, pixels)]
    for block in network.blocks:
        seen.append(_block(block, seen[-1]))
    middle, last = seen[network.middle + 1], _unit(network.head, seen[-1])
    return Model([middle, last], [pixels], "efficientnet-lite")


def _block(block: nn.Module, x: Any) -> Any:
    from openvino import opset13

    assert isinstance(block, Block)
    wide = _unit(block.expand, x) if isinstance(block.expand, Unit) else x
    out = _unit(block.project, _unit(block.depthwise, wide))
    return opset13.add(x, out) if block.adds else out


def _unit(unit: Unit, x: Any) -> Any:
    from openvino import opset13

    conv = unit.conv
    assert conv.bias is not None, "fold the network first"
    weight, bias = conv.weight.detach().float().numpy(), conv.bias.detach().float().numpy()
    split = weight.reshape(conv.groups, -1, *weight.shape[1:])  # a group convolution wants its groups first
    strides, none = list(conv.stride), [0, 0]
    out = opset13.group_convolution(x, split, strides, none, none, [1, 1], auto_pad="same_upper")
    out = opset13.add(out, bias.reshape(1, -1, 1, 1))
    return opset13.clamp(out, 0.0, 6.0) if isinstance(unit.activation, nn.ReLU6) else out
