"""Where and how a network computes: device, precision, threads, and small batches."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL.Image import Image
from torch import Tensor
from torch.nn.functional import normalize

from infra.config.settings import TorchSettings
from infra.encoder import EncoderUnavailable

Pixels = NDArray[np.uint8] | NDArray[np.float32]
Vectors = NDArray[np.float32]
Box = tuple[float, float, float, float]
"""Left, top, right and bottom of a part of a picture, in its pixels."""
Shown = tuple[tuple[Pixels, ...], bool]
"""The prepared views of one picture, and whether it is a studio picture."""

CPU_BATCH = 8
"""Pictures at once on a CPU; beyond it activations leave the caches (Lite2 fp32: 100 a second at 8, 84 at 32)."""

CUDA_BATCH = 64


@dataclass(frozen=True)
class Runtime:
    """Where a network runs, in which precision, how many pictures at once, and by whose operators."""

    device: torch.device
    dtype: torch.dtype
    batch: int
    engine: Literal["torch", "openvino"] = "torch"


def open_runtime(settings: TorchSettings) -> Runtime:
    """The runtime that the settings ask for; sets torch's threads, which are the whole process's."""
    torch.set_num_threads(settings.threads or os.cpu_count() or 1)
    device = _device("cpu" if settings.engine == "openvino" else settings.device)
    batch = CPU_BATCH if device.type == "cpu" else CUDA_BATCH
    return Runtime(device, _dtype(settings.precision, device), batch, settings.engine)


@contextmanager
def one_thread() -> Iterator[None]:
    """Inside, torch uses one thread, for many small steps: in two processes that start side by side the threads of
    each would spin while the other's work (3.6 s for what takes 0.5 s alone; DECISIONS.md)."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _device(name: str) -> torch.device:
    if name == "cpu" or (name == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    device = torch.device("cuda" if name == "auto" else name)
    if not torch.cuda.is_available() or (device.index or 0) >= torch.cuda.device_count():
        raise EncoderUnavailable(
            f"LOOKSTREAM_TORCH_DEVICE is {name}, which torch does not see here: use cpu or auto"
        )
    return device


def _dtype(precision: str, device: torch.device) -> torch.dtype:
    if precision == "auto":
        return torch.bfloat16 if _is_quick_in_bfloat16(device) else torch.float32
    return torch.bfloat16 if precision == "bfloat16" else torch.float32


def _is_quick_in_bfloat16(device: torch.device) -> bool:
    """By tiles, or by AMD's vector units; Intel's vector units alone are no quicker than in float32 (measured)."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    has = torch.cpu.get_capabilities()
    return bool(has.get("amx_bf16") or (has.get("avx512_bf16") and "AMD" in str(has.get("cpu_name", ""))))


def unit(rows: Tensor) -> Tensor:
    """Float rows [N, d] at length 1; a row of zeros, which has no direction, becomes the first axis."""
    first = torch.nn.functional.one_hot(torch.zeros(len(rows), dtype=torch.long, device=rows.device), rows.shape[1])
    return normalize(torch.where(rows.norm(dim=1, keepdim=True) > 0, rows, first.to(rows.dtype)), dim=1)


@dataclass(frozen=True, eq=False)
class Backbone:
    """A frozen network with its preprocessing: pictures to features, before any projection.

    `prepare` makes the pixels of a part of a picture, all of one shape, and may be called from many threads.
    `network` takes them stacked on the runtime's device and gives float features [V, object_size + style_size].
    `digest` is over all that shapes them.
    """

    name: str
    digest: str
    object_size: int
    style_size: int
    prepare: Callable[[Image, Box], Pixels]
    network: Callable[[Tensor], Tensor]
    runtime: Runtime

    def features(self, pictures: Sequence[tuple[Pixels, ...]]) -> Tensor:
        """The features of each picture, float [N, object_size + style_size]: the mean over its views."""
        views, few = [view for one in pictures for view in one], self.runtime.batch
        with torch.inference_mode():
            seen = torch.cat([self._look(views[n : n + few]) for n in range(0, len(views), few)])
            return torch.stack([part.mean(0) for part in torch.split(seen, [len(one) for one in pictures])])

    def _look(self, views: Sequence[Pixels]) -> Tensor:
        return self.network(torch.from_numpy(np.stack(views)).to(self.runtime.device))
