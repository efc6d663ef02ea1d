"""The handlers of the index worker: new item events, and those that wait for another try."""

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
    """Item events that wait in retry topics."""

    work: Handle

    def handle(self, events: Sequence[Event]) -> Mapping[str, Failure]:
        """Try them again."""
        return self.work(events)


@dataclass(frozen=True)
class LiveItems(HandlerDefaults):
    """New item events, and what an index worker does between batches."""

    context: IndexContext
    work: Handle
    items: ItemIndexer
    backfill: Callable[[], None]
    maintenance: Sequence[Callable[[], None]]

    @property
    def prepares(self) -> bool:
        """It does: pictures are fetched ahead."""
        return True

    def handle(self, events: Sequence[Event]) -> Mapping[str, Failure]:
        """Put them into the index."""
        return self.work(events)

    def prepare(self, events: Sequence[Event]) -> None:
        """Have their pictures fetched."""
        self.items.prepare(events)

    def idle(self) -> None:
        """Take up new watches, forget old tombstones, fill the next index."""
        for step in (*self.maintenance, self.backfill):
            step()

    def note_done(self, records: Sequence[Record]) -> None:
        """Note in the index how far it has come."""
        note_progress(self.context.index, records)
        self.backfill()
