"""The path of events through one kind of worker, simulated: how long each waits, and how long the line gets.

Discrete events: records come at their times; a worker that is free takes what waits, up to a batch, after giving
it `wait` seconds to fill; a batch of n takes `fixed + each * n` seconds; then all of it is done at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heappop, heappush

import numpy as np
from numpy.typing import NDArray

Seconds = NDArray[np.float64]


@dataclass(frozen=True)
class ServiceModel:
    """How workers take and do their records; times are in seconds."""

    workers: int
    batch: int
    wait: float
    """How long a batch may fill, after its first record."""
    fixed: float
    """What any batch takes."""
    each: float
    """What each record of it takes."""


@dataclass(frozen=True)
class SimulatedQueue:
    """What became of the records, in the order of their coming."""

    came: Seconds
    done: Seconds

    @property
    def took(self) -> Seconds:
        """From coming to being done."""
        return self.done - self.came

    @property
    def longest_line(self) -> int:
        """Records that had come and were not done, at worst."""
        behind = [
            int(np.searchsorted(self.came, moment, "right")) - n for n, moment in enumerate(np.sort(self.done))
        ]
        return max(behind, default=0)


def simulate(arrivals: Sequence[float] | Seconds, service: ServiceModel) -> SimulatedQueue:
    """Send records that come at these times, in order, through the workers."""
    came = np.asarray(arrivals, float)
    done = np.zeros_like(came)
    free = [0.0] * service.workers
    first = 0
    while first < len(came):
        start = max(heappop(free), came[first])
        last = first + service.batch - 1
        full = came[last] if last < len(came) else np.inf
        start = max(start, min(start + service.wait, full))
        count = min(int(np.searchsorted(came, start, "right")) - first, service.batch)
        end = start + service.fixed + service.each * count
        done[first : first + count] = end
        first += count
        heappush(free, end)
    return SimulatedQueue(came, done)
