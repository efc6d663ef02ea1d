"""ItemPublisher: sends item events, and returns the positions from which on searches find them."""

from types import TracebackType
from typing import Self

from infra.client.search_client import acknowledged_positions
from infra.config.kafka import KafkaSettings
from infra.kafka import EventSink
from schemas.envelope import Event
from schemas.freshness import RecordPosition
from schemas.items import ItemDeleted, ItemPatched, ItemUpserted, item_key
from schemas.topics import TOPIC_OF


class ItemPublisher:
    """Sends item events to the topic of their source, keyed `tenant:item_id`. Each thread flushes its own events.

    Publishing is idempotent by revision: an event that is sent twice, or that is older than the item's newest
    revision, changes nothing.
    """

    def __init__(self, kafka: KafkaSettings, name: str = "lookstream/publisher") -> None:
        """`name` is the `source` header of the events: who has published them."""
        self._sink = EventSink(kafka)
        self._name = name

    def publish(self, item: ItemUpserted | ItemPatched | ItemDeleted) -> str:
        """Queue an event; returns its id, which its outcome on `item.outcomes` names.

        Raises RecordRefused when it is too large for the topic, Unavailable when the queue stays full for 30 s.
        """
        event = Event(item, self._name)
        self._sink.send(TOPIC_OF[item.source], item_key(item.tenant, item.item_id), event)
        return event.id

    def flush(self) -> tuple[RecordPosition, ...]:
        """Wait until Kafka has acknowledged every event; returns the newest position in each partition.

        `SearchRequest(min_as_of=...)` with these positions waits until the index has come so far. Raises
        Unavailable when Kafka did not take everything.
        """
        self._sink.flush()
        return acknowledged_positions(self._sink)

    def close(self) -> None:
        """Send what is queued, for a second at most, and close the connection."""
        self._sink.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
