"""OpenVINO engine: computes the maps of EfficientNet-Lite on a CPU; optional, and faster than fused.py.

The graph is built operator by operator, which takes milliseconds. Tracing the network takes seconds, and does not
reliably reproduce TensorFlow's padding, which is `same_upper` here.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from infra.array_types import Floats
from infra.encoder import EncoderUnavailable
from infra.encoder.efficientnet import Block, EfficientNetLite, FeatureMaps, Unit
from infra.encoder.runtime import Runtime


def compile_maps(network: EfficientNetLite, side: int, runtime: Runtime) -> Callable[[Tensor], FeatureMaps]:
    """Compile `network.maps` for this CPU, for float pixels [N, 3, side, side]; the maps are float32.

    The batch norms must be folded. The callable uses torch's current number of threads and the runtime's precision.
    Raises EncoderUnavailable when OpenVINO is not installed.
    """
    try:
        import openvino
    except ImportError:
        raise EncoderUnavailable(
            "the openvino runtime is not installed: `pip install 'lookstream[openvino]'`"
        ) from None
    graph, core, threads = _graph(network, side), openvino.Core(), torch.get_num_threads()
    options = {
        # By default OpenVINO uses bfloat16 wherever it exists, even where it is slower than float32.
        "INFERENCE_PRECISION_HINT": "bf16" if runtime.dtype == torch.bfloat16 else "f32",
        "INFERENCE_NUM_THREADS": threads,
    }
    latency_model = core.compile_model(graph, "CPU", {**options, "PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1})
    throughput_model = core.compile_model(
        graph, "CPU", {**options, "PERFORMANCE_HINT": "THROUGHPUT", "NUM_STREAMS": threads}
    )
    return CompiledMaps(
        latency_model.create_infer_request(), openvino.AsyncInferQueue(throughput_model, threads), threads
    )


@dataclass(frozen=True, eq=False)
class CompiledMaps:
    """Network compiled twice: all threads on one picture (latency), or one picture for each thread (throughput)."""

    latency_request: Any
    throughput_queue: Any
    threads: int
    lock: Lock = field(default_factory=Lock)

    def __call__(self, pixels: Tensor) -> FeatureMaps:
        """Compute the maps of a batch; thread-safe, as concurrent calls wait for each other."""
        pixel_array: Floats = pixels.float().contiguous().numpy()
        pictures = [pixel_array[n : n + 1] for n in range(len(pixel_array))]
        with self.lock:
            outputs = (
                self._infer_sequentially(pictures)
                if len(pictures) < self.threads
                else self._infer_in_parallel(pictures)
            )
        middle, last = (torch.from_numpy(np.concatenate(maps)) for maps in zip(*outputs, strict=True))
        return FeatureMaps(middle, last)

    def _infer_sequentially(self, pictures: list[Floats]) -> list[tuple[Floats, Floats]]:
        outputs = []
        for picture in pictures:
            self.latency_request.infer([picture])
            outputs.append(_outputs(self.latency_request))
        return outputs

    def _infer_in_parallel(self, pictures: list[Floats]) -> list[tuple[Floats, Floats]]:
        outputs: dict[int, tuple[Floats, Floats]] = {}
        self.throughput_queue.set_callback(lambda request, n: outputs.update({n: _outputs(request)}))
        for n, picture in enumerate(pictures):
            self.throughput_queue.start_async([picture], n)
        self.throughput_queue.wait_all()
        return [outputs[n] for n in range(len(pictures))]


def _outputs(request: Any) -> tuple[Floats, Floats]:
    # Copies, because the next inference overwrites the output tensors of the request.
    return request.get_output_tensor(0).data.copy(), request.get_output_tensor(1).data.copy()


def _graph(network: EfficientNetLite, side: int) -> Any:
    from openvino import Model, opset13

    pixels = opset13.parameter([1, 3, side, side], np.float32)
    outputs = [_unit(network.stem, pixels)]
    for block in network.blocks:
        outputs.append(_block(block, outputs[-1]))
    middle, last = outputs[network.middle + 1], _unit(network.head, outputs[-1])
    return Model([middle, last], [pixels], "efficientnet-lite")


def _block(block: nn.Module, x: Any) -> Any:
    from openvino import opset13

    assert isinstance(block, Block)
    expanded = _unit(block.expand, x) if isinstance(block.expand, Unit) else x
    out = _unit(block.project, _unit(block.depthwise, expanded))
    return opset13.add(x, out) if block.has_residual else out


def _unit(unit: Unit, x: Any) -> Any:
    from openvino import opset13

    conv = unit.conv
    assert conv.bias is not None, "fold the network first"
    weight, bias = conv.weight.detach().float().numpy(), conv.bias.detach().float().numpy()
    group_weights = weight.reshape(conv.groups, -1, *weight.shape[1:])  # group_convolution expects the groups first
    strides, no_padding = list(conv.stride), [0, 0]
    out = opset13.group_convolution(
        x, group_weights, strides, no_padding, no_padding, [1, 1], auto_pad="same_upper"
    )
    out = opset13.add(out, bias.reshape(1, -1, 1, 1))
    return opset13.clamp(out, 0.0, 6.0) if isinstance(unit.activation, nn.ReLU6) else out
