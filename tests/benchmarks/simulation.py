"""Queue simulation: computes the latency of each record and the queue length for one kind of worker.

It is a discrete-event simulation. Records arrive at given times. A free worker waits up to `wait` seconds for its
batch to fill, then takes the waiting records, at most a batch. A batch of n records takes `fixed + each * n`
seconds, and all its records complete at the same time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heappop, heappush

import numpy as np
from numpy.typing import NDArray

Seconds = NDArray[np.float64]


@dataclass(frozen=True)
class ServiceModel:
    """Number of workers, their batching, and their processing times in seconds."""

    workers: int
    batch: int
    wait: float
    """Maximum time that a batch waits for more records after its first one."""
    fixed: float
    """Processing time of a batch, whatever its size."""
    each: float
    """Additional processing time for each record of a batch."""


@dataclass(frozen=True)
class SimulatedQueue:
    """Arrival and completion times of the records in seconds, in the order of arrival."""

    came: Seconds
    done: Seconds

    @property
    def took(self) -> Seconds:
        """Latency of each record, from arrival to completion, in seconds."""
        return self.done - self.came

    @property
    def longest_line(self) -> int:
        """Largest number of records that had arrived and were not complete."""
        queue_lengths = [
            int(np.searchsorted(self.came, time, "right")) - n for n, time in enumerate(np.sort(self.done))
        ]
        return max(queue_lengths, default=0)


def simulate(arrivals: Sequence[float] | Seconds, service: ServiceModel) -> SimulatedQueue:
    """Simulate the workers for records that arrive at these times, in seconds and ascending order."""
    came = np.asarray(arrivals, float)
    done = np.zeros_like(came)
    free_at = [0.0] * service.workers
    first = 0
    while first < len(came):
        start = max(heappop(free_at), came[first])
        last = first + service.batch - 1
        filled_at = came[last] if last < len(came) else np.inf
        start = max(start, min(start + service.wait, filled_at))
        count = min(int(np.searchsorted(came, start, "right")) - first, service.batch)
        end = start + service.fixed + service.each * count
        done[first : first + count] = end
        first += count
        heappush(free_at, end)
    return SimulatedQueue(came, done)
