"""When the embedded index is optimised: by size while it grows, and earlier when it is idle."""

from dataclasses import dataclass
from math import inf

from infra.qdrant.contract import IndexStatus

SHARE = 0.1
"""Of the points may be outside the graph before it is built anew, so that each point is built in a bounded number
of times however large the index grows."""
FEWEST, MOST = 10_000, 50_000
"""Bounds of that: comparing 10,000 points one by one takes 0.3 ms, 50,000 take 2 ms (research on 256 numbers)."""
ENGINE_KB = 10_000
"""With fewer kilobytes of vectors outside the graph the engine's optimiser does nothing (`indexing_threshold`)."""
IDLE_SECONDS = 10.0
AGAIN_SECONDS, ASKED_AGAIN_SECONDS = 300.0, 5.0
"""After an attempt that failed: by itself, and when somebody asks."""


@dataclass
class OptimisePolicy:
    """Decides when to optimise, from what it is shown once in a while."""

    seen: IndexStatus | None = None
    changed: float = 0.0
    """When the index was last seen to change."""
    failed_at: float = -inf
    """When an attempt has failed last."""
    in_vain: int = -1
    """So many points were outside the graph when the engine found nothing to do."""

    def is_due(self, status: IndexStatus, now: float) -> bool:
        """Whether to optimise now; `now` is in seconds and never goes back."""
        if self.seen is None or (self.seen.live, self.seen.unindexed) != (status.live, status.unindexed):
            self.changed = now
        self.seen = status
        rested = now - self.failed_at
        if status.optimising or rested < ASKED_AGAIN_SECONDS:
            return False
        if status.wanted:
            return True
        if rested < AGAIN_SECONDS or status.unindexed == self.in_vain:
            return False
        idle = now - self.changed >= IDLE_SECONDS
        least = _least(status.size)
        return status.unindexed >= (least if idle else max(least, _enough(status.live)))

    def failed(self, now: float) -> None:
        """Optimising has failed: leave it for a while."""
        self.failed_at = now

    def was_in_vain(self) -> None:
        """The engine has found nothing to do."""
        self.in_vain = self.seen.unindexed if self.seen else -1


def _enough(live: int) -> int:
    return min(MOST, max(FEWEST, round(live * SHARE)))


def _least(size: int) -> int:
    return ENGINE_KB * 1024 // (size * 4) + 1
