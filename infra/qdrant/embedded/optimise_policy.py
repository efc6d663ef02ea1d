"""Optimisation policy: when to optimise the embedded index, by size while it grows and earlier when it is idle."""

from dataclasses import dataclass
from math import inf

from infra.qdrant.contract import IndexStatus

MAX_UNINDEXED_SHARE = 0.1
"""Share of the points that may be outside the graph before a rebuild. It is not a fixed number, so that
each point is rebuilt a bounded number of times however large the index grows."""
MIN_UNINDEXED, MAX_UNINDEXED = 10_000, 50_000
"""Bounds of the number of such points: exact search of 10,000 points takes 0.3 ms, of 50,000 2 ms (research, 256
dimensions)."""
ENGINE_MIN_KB = 10_000
"""The engine does not optimise fewer kilobytes of unindexed vectors (its `indexing_threshold`)."""
IDLE_SECONDS = 10.0
RETRY_SECONDS, REQUESTED_RETRY_SECONDS = 300.0, 5.0
"""Delay after a failed attempt before the next one: an automatic one, and one on request."""


@dataclass
class OptimisePolicy:
    """Decides when to optimise, from the index status at regular intervals."""

    latest: IndexStatus | None = None
    changed_at: float = 0.0
    """Time of the last change of the index, in seconds."""
    failed_at: float = -inf
    """Time of the last failed attempt, in seconds."""
    futile_unindexed: int = -1
    """Number of unindexed points when the engine last found nothing to do."""

    def is_due(self, status: IndexStatus, now: float) -> bool:
        """Whether to optimise now; `now` is in seconds of a monotonic clock."""
        if self.latest is None or (self.latest.live, self.latest.unindexed) != (status.live, status.unindexed):
            self.changed_at = now
        self.latest = status
        since_failure = now - self.failed_at
        if status.optimising or since_failure < REQUESTED_RETRY_SECONDS:
            return False
        if status.wanted:
            return True
        if since_failure < RETRY_SECONDS or status.unindexed == self.futile_unindexed:
            return False
        idle = now - self.changed_at >= IDLE_SECONDS
        minimum = _engine_minimum(status.size)
        return status.unindexed >= (
            minimum if idle else max(minimum, _busy_threshold(status.live + status.regions))
        )

    def record_failure(self, now: float) -> None:
        """Record a failed attempt; the next one is delayed."""
        self.failed_at = now

    def record_nothing_to_do(self) -> None:
        """Record that the engine found nothing to do."""
        self.futile_unindexed = self.latest.unindexed if self.latest else -1


def _busy_threshold(points: int) -> int:
    return min(MAX_UNINDEXED, max(MIN_UNINDEXED, round(points * MAX_UNINDEXED_SHARE)))


def _engine_minimum(size: int) -> int:
    return ENGINE_MIN_KB * 1024 // (size * 4) + 1
