"""OpenVINO engine: computes the maps of EfficientNet-Lite on a CPU, without torch and faster than it.

The graph is built operator by operator from the weights of the checkpoint, which takes milliseconds.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from infra.array_types import Floats
from infra.config.settings import TorchSettings
from infra.cores import available_cores, has_fast_bfloat16
from infra.encoder import EncoderUnavailable
from infra.encoder.checkpoint import Kernel, fold_batch_norms, read_checkpoint
from infra.encoder.stages import middle_block, stages

MIDDLE_STRIDE, LAST_STRIDE = 16, 32
"""Pixels of a view for each cell of the two maps."""

Outputs = tuple[Floats, ...]


class Maps(NamedTuple):
    """Feature maps, float32: `middle` [N, 80 or 88, h, h] with h = side / 16, and `last` [N, 1280, h/2, h/2]."""

    middle: Floats
    last: Floats


MapNetwork = Callable[[NDArray[np.uint8]], Maps]
"""Function from prepared views, uint8 [N, side, side, 3], to the maps of one network."""


@dataclass(frozen=True, eq=False)
class CompiledModel:
    """Model that is compiled twice: all threads on one input (latency), or one input for each thread (throughput).

    Each is compiled at its first use, because it holds a copy of the weights. Calls wait for each other.
    """

    graph: Any
    options: Mapping[str, object]
    threads: int
    lock: Lock = field(default_factory=Lock)

    def __call__(self, inputs: list[list[NDArray[Any]]]) -> list[Outputs]:
        """The outputs of each set of inputs, which have a batch of one."""
        with self.lock:
            return self._infer_in_turn(inputs) if len(inputs) < self.threads else self._infer_in_parallel(inputs)

    @cached_property
    def _latency_request(self) -> Any:
        return self._compile({"PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1}).create_infer_request()

    @cached_property
    def _throughput_queue(self) -> Any:
        model = self._compile({"PERFORMANCE_HINT": "THROUGHPUT", "NUM_STREAMS": self.threads})
        return _import_openvino().AsyncInferQueue(model, self.threads)

    def _compile(self, options: Mapping[str, object]) -> Any:
        return _import_openvino().Core().compile_model(self.graph, "CPU", {**self.options, **options})

    def _infer_in_turn(self, inputs: list[list[NDArray[Any]]]) -> list[Outputs]:
        outputs = []
        for each in inputs:
            self._latency_request.infer(each)
            outputs.append(_outputs(self._latency_request))
        return outputs

    def _infer_in_parallel(self, inputs: list[list[NDArray[Any]]]) -> list[Outputs]:
        outputs: dict[int, Outputs] = {}
        self._throughput_queue.set_callback(lambda request, n: outputs.update({n: _outputs(request)}))
        for n, each in enumerate(inputs):
            self._throughput_queue.start_async(each, n)
        self._throughput_queue.wait_all()
        return [outputs[n] for n in range(len(inputs))]


def _outputs(request: Any) -> Outputs:
    # Copies, because the next inference overwrites the output tensors of the request.
    return tuple(tensor.data.copy() for tensor in request.output_tensors)


def compile_maps(path: Path, variant: int, side: int, settings: TorchSettings) -> MapNetwork:
    """Compile Lite0, Lite1 or Lite2 with the weights in `path`, for views of `side` pixels.

    Raises EncoderUnavailable when OpenVINO is not installed, or the weights cannot be read.
    """
    _import_openvino()  # before anything else needs it
    model = _compile(_map_graph(fold_batch_norms(read_checkpoint(path)), variant, side), settings)

    def network(views: NDArray[np.uint8]) -> Maps:
        middle, last = zip(*model([[view[None]] for view in views]), strict=True)
        return Maps(np.concatenate(middle), np.concatenate(last))

    return network


def compile_region_head(
    kernels: Mapping[str, Kernel], side: int, settings: TorchSettings
) -> Callable[[Maps], Floats]:
    """Compile the head of the region detector for the maps of views of `side` pixels: float32 [N, 5, h, w]."""
    model = _compile(_head_graph(kernels, side), settings.model_copy(update={"precision": "float32"}))

    def head(maps: Maps) -> Floats:
        found = model([[middle[None], last[None]] for middle, last in zip(*maps, strict=True)])
        return np.concatenate([output for (output,) in found])

    return head


def choose_precision(settings: TorchSettings) -> Literal["float32", "bfloat16"]:
    """The precision of the maps on this processor."""
    if settings.precision == "auto":
        return "bfloat16" if has_fast_bfloat16() else "float32"
    return settings.precision


def _compile(graph: Any, settings: TorchSettings) -> CompiledModel:
    threads = settings.threads or available_cores()
    options = {
        # By default OpenVINO uses bfloat16 wherever it exists, even where it is slower than float32.
        "INFERENCE_PRECISION_HINT": "bf16" if choose_precision(settings) == "bfloat16" else "f32",
        "INFERENCE_NUM_THREADS": threads,
    }
    return CompiledModel(graph, options, threads)


def _import_openvino() -> Any:
    try:
        import openvino
    except ImportError:
        raise EncoderUnavailable(
            "OpenVINO, which runs the default encoders, is not installed: `pip install 'lookstream[worker]'`, or "
            "`pip install 'lookstream[torch]'` and LOOKSTREAM_TORCH_ENGINE=torch"
        ) from None
    return openvino


def _map_graph(kernels: Mapping[str, Kernel], variant: int, side: int) -> Any:
    from openvino import Model, opset13

    pixels = opset13.parameter([1, side, side, 3], np.uint8)
    planes = opset13.transpose(opset13.convert(pixels, "f32"), np.array([0, 3, 1, 2]))
    x = opset13.divide(opset13.subtract(planes, np.float32(127)), np.float32(128))
    x, number, middle = _unit(kernels["stem"], x, stride=2), 0, None
    for stage in stages(variant):
        for repeat in range(stage.repeats):
            x = _block(kernels, number, x, stage.stride if repeat == 0 else 1)
            middle = x if number == middle_block(variant) else middle
            number += 1
    return Model([middle, _unit(kernels["head"], x)], [pixels], "efficientnet-lite")


def _block(kernels: Mapping[str, Kernel], number: int, x: Any, stride: int) -> Any:
    """Inverted bottleneck: expand, depthwise convolution, project; with a residual where the shapes are equal."""
    from openvino import opset13

    expand = kernels.get(f"blocks.{number}.expand")
    wide = x if expand is None else _unit(expand, x)
    out = _unit(kernels[f"blocks.{number}.depthwise"], wide, stride=stride)
    out = _unit(kernels[f"blocks.{number}.project"], out, clamped=False)
    has_residual = stride == 1 and x.get_output_shape(0)[1] == out.get_output_shape(0)[1]
    return opset13.add(x, out) if has_residual else out


def _unit(kernel: Kernel, x: Any, *, stride: int = 1, clamped: bool = True) -> Any:
    """Convolution with TensorFlow's padding, and ReLU6 if `clamped`."""
    from openvino import opset13

    groups = x.get_output_shape(0)[1] // kernel.weight.shape[1]
    weight = kernel.weight.reshape(groups, -1, *kernel.weight.shape[1:])  # the operator expects the groups first
    out = opset13.group_convolution(x, weight, [stride, stride], [0, 0], [0, 0], [1, 1], auto_pad="same_upper")
    out = opset13.add(out, kernel.bias.reshape(1, -1, 1, 1))
    return opset13.clamp(out, 0.0, 6.0) if clamped else out


def _head_graph(kernels: Mapping[str, Kernel], side: int) -> Any:
    """The same function as RegionHead of infra/encoder/region_head.py."""
    from openvino import Model, opset13

    middle, last = (
        opset13.parameter([1, kernels[name].weight.shape[1], side // stride, side // stride], np.float32)
        for name, stride in (("middle", MIDDLE_STRIDE), ("last", LAST_STRIDE))
    )

    def convolve(name: str, x: Any) -> Any:
        return _unit(kernels[name], x, clamped=False)

    size = np.array([side // MIDDLE_STRIDE] * 2)
    wide = opset13.interpolate(
        opset13.relu(convolve("last", last)), size, "nearest", "sizes", axes=np.array([2, 3]),
        coordinate_transformation_mode="asymmetric", nearest_mode="floor",
    )  # fmt: skip
    joined = opset13.concat([opset13.relu(convolve("middle", middle)), wide], 1)
    mixed = opset13.relu(convolve("mix", joined))
    refined = opset13.relu(convolve("refine", mixed))
    return Model([convolve("output", opset13.add(mixed, refined))], [middle, last], "region-head")
