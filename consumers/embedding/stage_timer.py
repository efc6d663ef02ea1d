"""How long each step of a batch took, and how long the next batch may take."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from consumers.vision.embedder import Look
from schemas.failures import Failure


@dataclass
class StageTimer:
    """Measures the steps of a batch, in milliseconds."""

    fetched: float = 0
    decoded: float = 0
    encoded: float = 0
    written: float = 0
    _since: float = field(default_factory=time.perf_counter)

    def lap(self) -> float:
        """Milliseconds since the last lap."""
        now = time.perf_counter()
        passed, self._since = (now - self._since) * 1000, now
        return passed

    def looked(self, looks: Sequence[Look | Failure]) -> None:
        """The lap was spent on these looks: on the encoder as long as they say, else on decoding and colours."""
        passed = self.lap()
        took = max((look.encoded_ms for look in looks if isinstance(look, Look)), default=0.0)
        encoded = min(passed, took)
        self.encoded += encoded
        self.decoded += passed - encoded


@dataclass
class LatencyEstimate:
    """What batches take, from what they took: mean and mean deviation, as TCP estimates its round trips.

    Source: RFC 6298, section 2 (gains of 1/8 and 1/4, and four deviations).
    """

    mean: float = 0
    deviation: float = 0

    def note(self, seconds: float) -> None:
        """A batch took so long."""
        error = seconds - self.mean
        self.mean += error / 8
        self.deviation += (abs(error) - self.deviation) / 4

    def longest(self) -> float:
        """Seconds that few batches exceed."""
        return self.mean + 4 * self.deviation
