"""Dead-letter limit: sets a tenant aside while too many of its events are dead-lettered.

So many refused events mean a misconfiguration or a flood. The events of a tenant that is set aside wait in the last
retry topic, and those of other tenants are processed as usual.
"""

import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

WINDOW = 500
"""Latest events of a tenant over which the share is computed (as DlqLimit of getsentry/arroyo, same figures)."""
SET_ASIDE_SECONDS = 600.0
"""How long a tenant is set aside: the delay of the last retry topic."""
MAX_TENANTS = 1_000
"""Tenants counted at a time. Beyond that the least recently active one that is not set aside is dropped."""


@dataclass
class _Count:
    consecutive: int = 0
    recent: deque[bool] = field(default_factory=lambda: deque(maxlen=WINDOW))
    set_aside_until: float = float("-inf")
    """End of the time for which the tenant is set aside, by the clock of the limit."""

    def record_outcome(self, *, dead: bool) -> None:
        """Count an event; `dead` if it was dead-lettered."""
        self.consecutive = self.consecutive + 1 if dead else 0
        self.recent.append(dead)


class DeadLetterLimit:
    """Sets a tenant aside after `max_consecutive` dead letters, or more than `max_share` of its last 500 events."""

    def __init__(self, max_consecutive: int, max_share: float, now: Callable[[], float] = time.monotonic) -> None:
        self._max_consecutive = max_consecutive
        self._max_share = max_share
        self._now = now
        self._counts: OrderedDict[str, _Count] = OrderedDict()

    def record_outcome(self, tenant: str, *, dead: bool) -> None:
        """Count a handled event; `dead` if it was dead-lettered."""
        count = self._counts.setdefault(tenant, _Count())
        self._counts.move_to_end(tenant)
        if len(self._counts) > MAX_TENANTS:
            del self._counts[self._tenant_to_evict(tenant)]
        count.record_outcome(dead=dead)
        if dead and (count.consecutive >= self._max_consecutive or self._is_flood(count)):
            self._counts[tenant] = _Count(set_aside_until=self._now() + SET_ASIDE_SECONDS)
            structlog.get_logger().error("tenant set aside", tenant=tenant, seconds=SET_ASIDE_SECONDS)

    def _tenant_to_evict(self, current: str) -> str:
        """Choose the least recently active tenant that is not set aside, else the one whose time ends first."""
        now, others = self._now(), [name for name in self._counts if name != current]
        inactive = next((name for name in others if self._counts[name].set_aside_until <= now), None)
        return inactive or min(others, key=lambda name: self._counts[name].set_aside_until)

    def _is_flood(self, count: _Count) -> bool:
        return len(count.recent) == WINDOW and sum(count.recent) > self._max_share * WINDOW

    def is_set_aside(self, tenant: str) -> bool:
        """Whether the events of a tenant must wait for now."""
        count = self._counts.get(tenant)
        return count is not None and self._now() < count.set_aside_until


class Unlimited:
    """Sets no tenant aside: for searches, and for events that come from retry topics."""

    def record_outcome(self, tenant: str, *, dead: bool) -> None:
        """Do nothing."""

    def is_set_aside(self, _tenant: str) -> bool:
        """Return False."""
        return False
