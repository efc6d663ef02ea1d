"""Item handlers: the batch handlers of the index worker, for new item events and for retries."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from consumers.indexing.handler import ItemIndexer
from consumers.points.progress import note_progress
from consumers.runtime.ports import HandlerDefaults
from consumers.workers.resources import IndexContext
from consumers.workers.tracing import Handle
from infra.kafka import Record
from schemas.envelope import Event
from schemas.failures import Failure


@dataclass(frozen=True)
class RetriedItems(HandlerDefaults):
    """Handles item events from the retry topics."""

    handle_events: Handle

    def handle(self, events: Sequence[Event]) -> Mapping[str, Failure]:
        return self.handle_events(events)


@dataclass(frozen=True)
class LiveItems(HandlerDefaults):
    """Handles new item events, and runs the maintenance of the index worker between batches."""

    context: IndexContext
    handle_events: Handle
    items: ItemIndexer
    backfill: Callable[[], None]
    maintenance: Sequence[Callable[[], None]]

    @property
    def prepares(self) -> bool:
        """True: pictures are fetched ahead."""
        return True

    def handle(self, events: Sequence[Event]) -> Mapping[str, Failure]:
        return self.handle_events(events)

    def prepare(self, events: Sequence[Event]) -> None:
        """Start to fetch the pictures of these events."""
        self.items.prepare(events)

    def idle(self) -> None:
        """Read new watches, delete old tombstones, backfill the next index."""
        for step in (*self.maintenance, self.backfill):
            step()

    def mark_processed(self, records: Sequence[Record]) -> None:
        """Record the progress in the index, and do a backfill step."""
        note_progress(self.context.index, records)
        self.backfill()
