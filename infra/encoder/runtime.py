"""Where and how a network computes: device, precision, threads, and small batches."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL.Image import Image
from torch import Tensor
from torch.nn.functional import normalize

from infra.encoder import EncoderUnavailable
from infra.settings import Torch

Pixels = NDArray[np.uint8] | NDArray[np.float32]
Vectors = NDArray[np.float32]

CPU_BATCH = 8
"""Pictures at once on a CPU; beyond it activations leave the caches (Lite2 fp32: 100 a second at 8, 84 at 32)."""

CUDA_BATCH = 64


@dataclass(frozen=True)
class Runtime:
    """Where a network runs, in which precision, and how many pictures at once."""

    device: torch.device
    dtype: torch.dtype
    batch: int


def open_runtime(settings: Torch) -> Runtime:
    """The runtime that the settings ask for; sets torch's threads, which are the whole process's."""
    torch.set_num_threads(settings.threads or os.cpu_count() or 1)
    device = _device(settings.device)
    return Runtime(device, _dtype(settings.precision, device), CPU_BATCH if device.type == "cpu" else CUDA_BATCH)


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
        return torch.bfloat16 if _computes_bfloat16(device) else torch.float32
    return torch.bfloat16 if precision == "bfloat16" else torch.float32


def _computes_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    features = torch.cpu.get_capabilities()
    return any(features.get(name, False) for name in ("avx512_bf16", "amx_bf16"))


def unit(rows: Tensor) -> Tensor:
    """Float rows [N, d] at length 1; a row of zeros, which has no direction, becomes the first axis."""
    first = torch.nn.functional.one_hot(torch.zeros(len(rows), dtype=torch.long, device=rows.device), rows.shape[1])
    return normalize(torch.where(rows.norm(dim=1, keepdim=True) > 0, rows, first.to(rows.dtype)), dim=1)


@dataclass(frozen=True, eq=False)
class TorchEncoder:
    """A network with its preprocessing.

    `prepare` makes one picture's pixels, all of one shape, and may be called from many threads. `network` takes
    them stacked on the runtime's device and gives float [N, object_size + style_size], both parts of length 1.
    """

    fingerprint: str
    object_size: int
    style_size: int
    prepare: Callable[[Image], Pixels]
    network: Callable[[Tensor], Tensor]
    runtime: Runtime

    def run(self, batch: Sequence[Pixels]) -> Vectors:
        """float32 [N, object_size + style_size] of prepared pictures; non-finite where the network overflowed."""
        few = self.runtime.batch
        empty = np.empty((0, self.object_size + self.style_size), np.float32)
        return np.concatenate([empty, *(self._run(batch[n : n + few]) for n in range(0, len(batch), few))])

    def _run(self, few: Sequence[Pixels]) -> Vectors:
        pixels = torch.from_numpy(np.stack(few)).to(self.runtime.device)
        with torch.inference_mode():
            vectors: Vectors = self.network(pixels).float().cpu().numpy()
        return vectors
