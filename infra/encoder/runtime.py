"""Runtime: selects device, precision, threads and batch size, and runs a backbone in batches."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

import numpy as np
import torch
from PIL.Image import Image
from torch import Tensor
from torch.nn.functional import normalize

from infra.array_types import Box, Pixels
from infra.config.settings import TorchSettings
from infra.cores import available_cores
from infra.encoder import EncoderUnavailable

CPU_BATCH = 8
"""Batch size on a CPU; larger activations exceed the caches (Lite2 fp32: 100 a second at 8, 84 at 32)."""

CUDA_BATCH = 64


@dataclass(frozen=True)
class Runtime:
    """Device, precision, batch size and engine of a network."""

    device: torch.device
    dtype: torch.dtype
    batch: int
    engine: Literal["torch", "openvino"] = "torch"


def open_runtime(settings: TorchSettings) -> Runtime:
    """Runtime for the settings; sets the number of torch's threads, which applies to the whole process."""
    torch.set_num_threads(settings.threads or available_cores())
    device = _device("cpu" if settings.engine == "openvino" else settings.device)
    batch = CPU_BATCH if device.type == "cpu" else CUDA_BATCH
    return Runtime(device, _dtype(settings.precision, device), batch, settings.engine)


@contextmanager
def one_thread() -> Iterator[None]:
    """Limit torch to one thread inside the block, for many small operations.

    When two processes start at the same time, the threads of one would spin while those of the other work (3.6 s
    instead of 0.5 s for one process; DECISIONS.md).
    """
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
        return torch.bfloat16 if _has_fast_bfloat16(device) else torch.float32
    return torch.bfloat16 if precision == "bfloat16" else torch.float32


def _has_fast_bfloat16(device: torch.device) -> bool:
    """Whether bfloat16 is faster than float32: with AMX, or AVX-512 on AMD; on Intel AVX-512 is not (measured)."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities = torch.cpu.get_capabilities()
    return bool(
        capabilities.get("amx_bf16")
        or (capabilities.get("avx512_bf16") and "AMD" in str(capabilities.get("cpu_name", "")))
    )


def l2_normalise(rows: Tensor) -> Tensor:
    """Scale float rows [N, d] to unit length; a row of zeros, which has no direction, becomes the first axis."""
    first_axis = torch.nn.functional.one_hot(
        torch.zeros(len(rows), dtype=torch.long, device=rows.device), rows.shape[1]
    )
    return normalize(torch.where(rows.norm(dim=1, keepdim=True) > 0, rows, first_axis.to(rows.dtype)), dim=1)


@dataclass(frozen=True, eq=False)
class Backbone:
    """Frozen network with its preprocessing: computes the features of pictures, before any projection.

    `prepare` turns a part of a picture into pixels, which always have the same shape; it is thread-safe. `network`
    maps V stacked views of one shape on the runtime's device to float features [V, object_size + style_size].
    `digest` is a hash of everything that affects the features.
    """

    name: str
    digest: str
    object_size: int
    style_size: int
    prepare: Callable[[Image, Box], Pixels]
    network: Callable[[Tensor], Tensor]
    runtime: Runtime
    prepare_region: Callable[[Image, Box], Pixels] | None = None
    """As `prepare`, with a shape of its own, for the things in pictures; None: they are prepared as pictures."""

    def features(self, pictures: Sequence[tuple[Pixels, ...]]) -> Tensor:
        """Features of each picture, the mean over its views: float [N, object_size + style_size].

        A view that several pictures share, the same array, is computed once.
        """
        different = {id(view): view for picture in pictures for view in picture}.values()
        views, batch = sorted(different, key=lambda view: view.shape), self.runtime.batch
        rows = {id(view): row for row, view in enumerate(views)}
        groups = [list(group) for _, group in groupby(views, lambda view: view.shape)]
        with torch.inference_mode():
            outputs = torch.cat(
                [self._run_network(group[n : n + batch]) for group in groups for n in range(0, len(group), batch)]
            )
            return torch.stack([outputs[[rows[id(view)] for view in picture]].mean(0) for picture in pictures])

    def _run_network(self, views: Sequence[Pixels]) -> Tensor:
        return self.network(torch.from_numpy(np.stack(views)).to(self.runtime.device))
