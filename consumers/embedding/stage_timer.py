"""Stage timer: measures the stages of a batch, and estimates how long the next batch may take."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from consumers.vision.look import Look
from schemas.failures import Failure


@dataclass
class StageTimer:
    """Durations of the stages of a batch, in milliseconds."""

    fetched: float = 0
    decoded: float = 0
    encoded: float = 0
    written: float = 0
    _lap_start: float = field(default_factory=time.perf_counter)

    def lap(self) -> float:
        """Return the milliseconds since the last lap, and start the next lap."""
        now = time.perf_counter()
        elapsed, self._lap_start = (now - self._lap_start) * 1000, now
        return elapsed

    def record_fetching(self) -> None:
        """End a lap that fetched pictures."""
        self.fetched += self.lap()

    def record_writing(self) -> None:
        """End a lap that wrote to the index."""
        self.written += self.lap()

    def record_embedding(self, looks: Sequence[Look | Failure]) -> None:
        """End a lap that embedded these looks: their `encoded_ms` counts as encoding, the rest as decoding.

        Decoding includes the extraction of colours.
        """
        elapsed = self.lap()
        encoder_ms = max((look.encoded_ms for look in looks if isinstance(look, Look)), default=0.0)
        encoded = min(elapsed, encoder_ms)
        self.encoded += encoded
        self.decoded += elapsed - encoded


@dataclass
class LatencyEstimate:
    """Running mean and mean deviation of batch latencies, in seconds, as TCP estimates its round-trip time.

    Source: RFC 6298, section 2 (gains of 1/8 and 1/4, and four deviations).
    """

    mean: float = 0
    deviation: float = 0

    def add(self, seconds: float) -> None:
        """Add the latency of one batch."""
        error = seconds - self.mean
        self.mean += error / 8
        self.deviation += (abs(error) - self.deviation) / 4

    def upper_bound(self) -> float:
        """Upper bound in seconds that few batches exceed: the mean plus four deviations."""
        return self.mean + 4 * self.deviation
