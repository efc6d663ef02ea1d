"""How long each step of a batch took."""

import time
from dataclasses import dataclass, field


@dataclass
class Clock:
    """Measures the steps of a batch, in milliseconds."""

    fetched: float = 0
    looked: float = 0
    written: float = 0
    _since: float = field(default_factory=time.perf_counter)

    def lap(self) -> float:
        """Milliseconds since the last lap."""
        now = time.perf_counter()
        passed, self._since = (now - self._since) * 1000, now
        return passed
