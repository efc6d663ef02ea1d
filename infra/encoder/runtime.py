"""Runtime: selects the device, the precision, the threads and the batch size of torch."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from infra.config.settings import TorchSettings
from infra.cores import available_cores, has_fast_bfloat16
from infra.encoder import EncoderUnavailable
from infra.encoder.backbone import CPU_BATCH

CUDA_BATCH = 64


@dataclass(frozen=True)
class Runtime:
    """Device, precision and batch size of a network."""

    device: torch.device
    dtype: torch.dtype
    batch: int

    @property
    def precision(self) -> str:
        """Name of the precision, such as float32."""
        return str(self.dtype).removeprefix("torch.")


def open_runtime(settings: TorchSettings) -> Runtime:
    """Runtime for the settings; sets the number of torch's threads, which applies to the whole process."""
    torch.set_num_threads(settings.threads or available_cores())
    device = _device(settings.device)
    batch = CPU_BATCH if device.type == "cpu" else CUDA_BATCH
    return Runtime(device, _dtype(settings.precision, device), batch)


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
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return has_fast_bfloat16()


def l2_normalise(rows: Tensor) -> Tensor:
    """Scale float rows [N, d] to unit length; a row of zeros, which has no direction, becomes the first axis."""
    first_axis = torch.nn.functional.one_hot(
        torch.zeros(len(rows), dtype=torch.long, device=rows.device), rows.shape[1]
    )
    return normalize(torch.where(rows.norm(dim=1, keepdim=True) > 0, rows, first_axis.to(rows.dtype)), dim=1)
