"""The dead-letter limit: so many refused events of a tenant mean that something is misconfigured, or a flood.

That tenant is set aside for a while: its events wait in the last retry topic, and those of others go on.
"""

import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

WINDOW = 500
"""Events of a tenant of which the share is taken (getsentry/arroyo's DlqLimit, with its figures)."""
SET_ASIDE_SECONDS = 600.0
"""How long a tenant is set aside: as long as the last retry topic waits."""
MOST_TENANTS = 1_000
"""Tenants that are counted at a time; of those not set aside the one that was quiet for longest is forgotten."""


@dataclass
class _Count:
    in_a_row: int = 0
    last: deque[bool] = field(default_factory=lambda: deque(maxlen=WINDOW))
    until: float = float("-inf")
    """Until when it is set aside."""


class DeadLetterLimit:
    """Counts dead letters by tenant: `in_a_row`, or more than `share` of its last 500 events, set it aside."""

    def __init__(self, in_a_row: int, share: float, now: Callable[[], float] = time.monotonic) -> None:
        self._in_a_row = in_a_row
        self._share = share
        self._now = now
        self._counts: OrderedDict[str, _Count] = OrderedDict()

    def count(self, tenant: str, *, dead: bool) -> None:
        """Count an event that was handled, and whether it was refused."""
        count = self._counts.setdefault(tenant, _Count())
        self._counts.move_to_end(tenant)
        if len(self._counts) > MOST_TENANTS:
            del self._counts[self._least_needed(tenant)]
        count.in_a_row = count.in_a_row + 1 if dead else 0
        count.last.append(dead)
        if dead and (count.in_a_row >= self._in_a_row or self._is_flood(count)):
            self._counts[tenant] = _Count(until=self._now() + SET_ASIDE_SECONDS)
            structlog.get_logger().error("tenant set aside", tenant=tenant, seconds=SET_ASIDE_SECONDS)

    def _least_needed(self, but: str) -> str:
        """The tenant to forget: of those not set aside the quietest, else the one that may go on first."""
        now, others = self._now(), [name for name in self._counts if name != but]
        quiet = next((name for name in others if self._counts[name].until <= now), None)
        return quiet or min(others, key=lambda name: self._counts[name].until)

    def _is_flood(self, count: _Count) -> bool:
        return len(count.last) == WINDOW and sum(count.last) > self._share * WINDOW

    def is_set_aside(self, tenant: str) -> bool:
        """Whether the events of a tenant wait for now."""
        count = self._counts.get(tenant)
        return count is not None and self._now() < count.until


class Unlimited:
    """Sets nobody aside: for searches, and for events that have waited already."""

    def count(self, tenant: str, *, dead: bool) -> None:
        """Count nothing."""

    def is_set_aside(self, _tenant: str) -> bool:
        """Never."""
        return False
