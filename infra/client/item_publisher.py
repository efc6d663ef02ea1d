"""ItemPublisher: sends item events, and returns their outcomes, or the positions from which searches find them."""

import threading
import time
import uuid
from collections import deque
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from infra.client.outcome_follower import OutcomeFollower
from infra.client.search_client import acknowledged_positions
from infra.config.kafka import KafkaSettings
from infra.kafka import EventSink
from schemas.envelope import Event
from schemas.freshness import RecordPosition
from schemas.items import ItemDeleted, ItemEvent, ItemPatched, ItemUpserted, item_key
from schemas.outcomes import ItemOutcome
from schemas.topics import TOPIC_OF

CHECK_SECONDS = 0.5
"""A wait for outcomes checks at this interval whether the thread that reads them has failed."""


class ItemPublisher:
    """Sends item events to the topic of their source, keyed `tenant:item_id`. Each thread flushes its own events.

    Publishing is idempotent by revision: an event that is sent twice, or that is older than the item's newest
    revision, changes nothing.
    """

    def __init__(self, kafka: KafkaSettings, name: str = "lookstream/publisher") -> None:
        """`name` becomes the `source` header of the events; it names their publisher."""
        self._kafka = kafka
        self._sink = EventSink(kafka)
        self._name = name
        self._id_prefix = uuid.uuid4().hex
        self._follower: OutcomeFollower | None = None
        self._outcomes: dict[str, ItemOutcome | None] = {}
        """Outcome of each event that a call waits for, by event id; None until the outcome has arrived."""
        self._arrived = 0
        self._changed = threading.Condition()

    def publish(self, item: ItemUpserted | ItemPatched | ItemDeleted) -> str:
        """Queue an event; returns its id, which its outcome on `item.outcomes` names.

        Raises RecordRefused when it is too large for the topic, Unavailable when the queue stays full for 30 s.
        """
        return self._send(Event(item, self._name))

    def publish_all(self, items: Iterable[ItemEvent], wait_s: float = 60.0) -> list[ItemOutcome | None]:
        """Send events, wait for the outcome of each, and return the outcomes in the order of the events.

        The wait ends when no further outcome arrives for `wait_s` seconds; missing outcomes are then None. An event
        whose picture cannot be fetched now is tried again after 5, 60 and 600 s, and has no outcome until then.
        Raises as `publish` and `flush` do, and the error that stopped the thread that reads the outcomes.
        """
        if self._follower is None:
            self._follower = OutcomeFollower(self._kafka, self._record, self._id_prefix.encode())
        ids: list[str] = []
        try:
            for item in items:
                ids.append(self._send_awaited(item))
            self._sink.flush()
            with self._changed:
                self._wait(ids, wait_s, self._follower)
                return [self._outcomes[event_id] for event_id in ids]
        finally:
            for event_id in ids:
                del self._outcomes[event_id]

    def flush(self) -> tuple[RecordPosition, ...]:
        """Wait until Kafka has acknowledged every event; returns the newest position in each partition.

        `SearchRequest(min_as_of=...)` with these positions waits until the index has processed these events.
        Raises Unavailable when Kafka did not accept every event.
        """
        self._sink.flush()
        return acknowledged_positions(self._sink)

    def close(self) -> None:
        """Send what is queued, for a second at most, and close the connections."""
        if self._follower is not None:
            self._follower.close()
        self._sink.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _send(self, event: Event) -> str:
        item = event.body
        assert isinstance(item, ItemEvent)
        self._sink.send(TOPIC_OF[item.source], item_key(item.tenant, item.item_id), event)
        return event.id

    def _send_awaited(self, item: ItemEvent) -> str:
        event = Event(item, self._name, f"{self._id_prefix}-{uuid.uuid4().hex}")
        self._outcomes[event.id] = None  # before it is sent: the outcome may arrive at once
        return self._send(event)

    def _wait(self, ids: list[str], seconds: float, follower: OutcomeFollower) -> None:
        """Wait until all outcomes have arrived, or none arrives for `seconds`; the caller holds the lock."""
        pending, arrived, deadline = deque(ids), -1, 0.0
        while True:
            while pending and self._outcomes[pending[0]] is not None:
                pending.popleft()
            if arrived != self._arrived:
                arrived, deadline = self._arrived, time.monotonic() + seconds
            remaining = deadline - time.monotonic()
            if not pending or remaining <= 0:
                return
            self._changed.wait(min(remaining, CHECK_SECONDS))
            if follower.failure is not None:
                raise follower.failure

    def _record(self, outcome: ItemOutcome) -> None:
        with self._changed:
            if outcome.event_id in self._outcomes:
                self._outcomes[outcome.event_id] = outcome
                self._arrived += 1
                self._changed.notify_all()
