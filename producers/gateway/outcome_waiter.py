"""What became of item events, as the workers tell it: for whoever sent one here and waits."""

import asyncio
import threading
import time
from collections import OrderedDict, deque
from concurrent.futures import Future
from dataclasses import dataclass

from infra.client.topic_listener import TopicListener
from infra.config.settings import KafkaSettings
from infra.kafka import Record, TopicReader
from schemas.envelope import from_bytes
from schemas.outcomes import ItemIndexed, ItemOutcome
from schemas.topics import ITEM_OUTCOMES

MOST = 10_000
"""Outcomes that are remembered: the newest ones."""
RECENT_SECONDS = 10.0
"""How far back the present pace looks."""


@dataclass(frozen=True)
class OutcomePace:
    """How item events have fared of late."""

    per_second: float
    """Outcomes a second, of one tenant."""
    freshness_ms: float | None
    """From the newest indexed event to when it could be found; none when none was indexed since the start."""


class OutcomeWaiter:
    """Follows the outcomes from now on; for the tasks of one event loop."""

    def __init__(self, kafka: KafkaSettings, most: int = MOST) -> None:
        self._most = most
        self._known: OrderedDict[str, ItemOutcome] = OrderedDict()
        self._waiting: dict[str, list[Future[ItemOutcome]]] = {}
        self._times: deque[tuple[float, str | None]] = deque(maxlen=most)
        self._freshness_ms: OrderedDict[str | None, float] = OrderedDict()
        self._turn = threading.Lock()
        self._follower = TopicListener(TopicReader(kafka, ITEM_OUTCOMES), self._take)

    async def of(self, event_id: str, seconds: float) -> ItemOutcome | None:
        """What became of an event, waiting so long for it; none when nothing has by then."""
        outcome: Future[ItemOutcome] = Future()
        with self._turn:
            if (known := self._known.get(event_id)) is not None:
                return known
            self._waiting.setdefault(event_id, []).append(outcome)
        try:
            return await asyncio.wait_for(asyncio.wrap_future(outcome), seconds)
        except TimeoutError:
            return None
        finally:
            self._forget(event_id, outcome)

    @property
    def failure(self) -> BaseException | None:
        """What has ended it; None while it follows."""
        return self._follower.failure

    def pace(self, tenant: str) -> OutcomePace:
        """The present pace of a tenant's events."""
        since = time.monotonic() - RECENT_SECONDS
        with self._turn:
            recent = sum(at > since and of == tenant for at, of in self._times)
            return OutcomePace(recent / RECENT_SECONDS, self._freshness_ms.get(tenant))

    def close(self) -> None:
        """Follow no more."""
        self._follower.close()

    def _take(self, record: Record) -> None:
        body = None if record.value is None else from_bytes(record.value)
        if not isinstance(body, ItemOutcome):
            return
        with self._turn:
            self._times.append((time.monotonic(), body.tenant))
            if (freshness_ms := _freshness(body)) is not None:
                self._freshness_ms[body.tenant] = freshness_ms
            self._known[body.event_id] = body
            for remembered in (self._known, self._freshness_ms):
                while len(remembered) > self._most:
                    remembered.popitem(last=False)
            waiting = self._waiting.pop(body.event_id, [])
        for outcome in waiting:
            if outcome.set_running_or_notify_cancel():
                outcome.set_result(body)

    def _forget(self, event_id: str, outcome: Future[ItemOutcome]) -> None:
        with self._turn:
            waiting = self._waiting.get(event_id, [])
            if outcome in waiting:
                waiting.remove(outcome)
            if not waiting:
                self._waiting.pop(event_id, None)


def _freshness(outcome: ItemOutcome) -> float | None:
    """Milliseconds from the event to when it could be found, of one that was indexed and says so."""
    times = outcome.times if isinstance(outcome, ItemIndexed) else None
    if times is None or times.event_time is None or times.searchable_at is None:
        return None
    return (times.searchable_at - times.event_time).total_seconds() * 1000
