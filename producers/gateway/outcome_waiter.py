"""Outcome waiter: keep recent outcomes, so that the sender of an item event can wait for its outcome."""

import asyncio
import threading
import time
from collections import OrderedDict, deque
from concurrent.futures import Future
from dataclasses import dataclass

from infra.client.outcome_follower import OutcomeFollower
from infra.config.kafka import KafkaSettings
from schemas.outcomes import ItemIndexed, ItemOutcome

MAX_OUTCOMES = 10_000
"""Outcomes kept in memory; the newest ones."""
RECENT_SECONDS = 10.0
"""Period over which the rate of outcomes is computed."""


@dataclass(frozen=True)
class OutcomePace:
    """Recent throughput and freshness of item events."""

    per_second: float
    """Outcomes per second of one tenant."""
    freshness_ms: float | None
    """Time from the newest indexed event to when it was searchable; None if none was indexed since the start."""


class OutcomeWaiter:
    """Follows the outcomes topic from now on; for the tasks of one event loop."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._outcomes: OrderedDict[str, ItemOutcome] = OrderedDict()
        self._waiting: dict[str, list[Future[ItemOutcome]]] = {}
        self._times: deque[tuple[float, str | None]] = deque(maxlen=MAX_OUTCOMES)
        self._freshness_ms: OrderedDict[str | None, float] = OrderedDict()
        self._lock = threading.Lock()
        self._follower = OutcomeFollower(kafka, self._record)

    async def wait_for(self, event_id: str, seconds: float) -> ItemOutcome | None:
        """The outcome of an event, awaited for up to `seconds`; None if there is none by then."""
        outcome: Future[ItemOutcome] = Future()
        with self._lock:
            if (known := self._outcomes.get(event_id)) is not None:
                return known
            self._waiting.setdefault(event_id, []).append(outcome)
        try:
            return await asyncio.wait_for(asyncio.wrap_future(outcome), seconds)
        except TimeoutError:
            return None
        finally:
            self._stop_waiting(event_id, outcome)

    @property
    def failure(self) -> BaseException | None:
        """The error that ended the follower; None while it runs."""
        return self._follower.failure

    def pace(self, tenant: str) -> OutcomePace:
        """The present throughput and freshness of a tenant's events."""
        since = time.monotonic() - RECENT_SECONDS
        with self._lock:
            recent = sum(at > since and owner == tenant for at, owner in self._times)
            return OutcomePace(recent / RECENT_SECONDS, self._freshness_ms.get(tenant))

    def close(self) -> None:
        """Stop following the topic."""
        self._follower.close()

    def _record(self, outcome: ItemOutcome) -> None:
        with self._lock:
            self._times.append((time.monotonic(), outcome.tenant))
            if (freshness_ms := _freshness_of(outcome)) is not None:
                self._freshness_ms[outcome.tenant] = freshness_ms
            self._outcomes[outcome.event_id] = outcome
            for cache in (self._outcomes, self._freshness_ms):
                while len(cache) > MAX_OUTCOMES:
                    cache.popitem(last=False)
            waiting = self._waiting.pop(outcome.event_id, [])
        for future in waiting:
            if future.set_running_or_notify_cancel():
                future.set_result(outcome)

    def _stop_waiting(self, event_id: str, outcome: Future[ItemOutcome]) -> None:
        with self._lock:
            waiting = self._waiting.get(event_id, [])
            if outcome in waiting:
                waiting.remove(outcome)
            if not waiting:
                self._waiting.pop(event_id, None)


def _freshness_of(outcome: ItemOutcome) -> float | None:
    """Milliseconds from the event to when it was searchable; None if it was not indexed or has no such times."""
    times = outcome.times if isinstance(outcome, ItemIndexed) else None
    if times is None or times.event_time is None or times.searchable_at is None:
        return None
    return (times.searchable_at - times.event_time).total_seconds() * 1000
