"""The limits of the hardware, counted and measured, so that every rate can be given as a share of them."""

import statistics
import time
from dataclasses import dataclass

import torch

SIDE = 2_048
"""Of the matrix product that shows the peak: large enough that nothing else counts (16 MB an operand)."""


@dataclass(frozen=True)
class Limits:
    """The most pictures a second that this machine can process, by what each picture costs."""

    peak_gflops: float
    """Of one large float32 matrix product on all threads: the networks' convolutions are far from it by nature."""
    gflops_a_picture: float
    """Of one look through the networks."""
    pipeline_core_ms: float
    """Core time of one picture for all that comes before the networks: decode, colours, preparation."""
    encoded_a_second: float
    """Pictures a second of the encoder alone, at its best batch, on all cores."""
    cores: int

    @property
    def by_arithmetic(self) -> float:
        """If only the operations of one look counted, at the peak."""
        return self.peak_gflops / self.gflops_a_picture

    @property
    def by_cores(self) -> float:
        """If every core worked all the time at what a picture needs before and in the networks."""
        return self.cores / (self.pipeline_core_ms / 1000 + self.cores / self.encoded_a_second)

    def as_json(self) -> dict[str, float]:
        """All of it, for programs."""
        counted = {"by_arithmetic": self.by_arithmetic, "by_cores": self.by_cores}
        return {name: round(value, 3) for name, value in (vars(self) | counted).items()}


def measure_peak(products: int) -> float:
    """Billions of float32 operations a second, of large matrix products on as many threads as torch has.

    There are at least two `products`: the first one only warms up.
    """
    one, other = torch.rand(SIDE, SIDE), torch.rand(SIDE, SIDE)
    times = []
    for _ in range(products):
        started = time.perf_counter()
        torch.mm(one, other)
        times.append(time.perf_counter() - started)
    return 2 * SIDE**3 / statistics.median(times[1:]) / 1e9
