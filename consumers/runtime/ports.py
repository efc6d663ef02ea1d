"""What the loop needs of others: a handler of batches, a sink, a heartbeat."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from infra.kafka import OutgoingRecord, Record
from infra.observability.heartbeat import READY
from schemas.envelope import Event
from schemas.failures import Failure


class RecordSink(Protocol):
    """Takes records as they are; infra.kafka.EventSink is one."""

    def send_record(self, record: OutgoingRecord) -> None: ...
    def flush(self) -> None: ...


class Sink(RecordSink, Protocol):
    """Where events go; infra.kafka.EventSink is one."""

    def send(self, topic: str, key: str, event: Event, partition: int | None = None) -> None: ...


class Heartbeat(Protocol):
    """Who hears that a worker is alive; infra.observability.heartbeat.Heartbeat is one."""

    def beat(self, state: str = READY, why: str | None = None) -> None: ...


class BatchHandler(Protocol):
    """What a worker does with events. HandlerDefaults has all but `handle`."""

    @property
    def prepares(self) -> bool:
        """Whether `prepare` does anything."""

    def handle(self, events: Sequence[Event]) -> Mapping[str, Failure]:
        """Do a batch; a Failure for each event id that could not be done. The rest is done.

        Raises Unavailable when nothing can be done now: the batch is handled again.
        """

    def idle(self) -> None:
        """Do a small step of what can wait; called each time that nothing came. Raises Unavailable."""

    def is_behind(self) -> bool:
        """Whether many records should be taken at once, to pass over those that came too late."""

    def was_done(self, record: Record) -> bool:
        """Whether a worker that died before it could say so has done this record."""

    def note_done(self, records: Sequence[Record]) -> None:
        """Hear of records that are done, with all before them in their partitions."""

    def expired(self, events: Sequence[Event]) -> set[str]:
        """The ids of events that cannot be done in time, so that nobody waits for the others to hear of that."""

    def refuse(self, events: Sequence[Event]) -> Mapping[str, Failure]:
        """Handle those: quickly, before the others, and committed before them."""

    def deferred(self, events: Sequence[Event]) -> set[str]:
        """The ids of events that must wait for something else; they are asked about again soon."""

    def prepare(self, events: Sequence[Event]) -> None:
        """Get ready what these events, which come next, will need; in a thread of its own, without any promise."""


class HandlerDefaults:
    """A handler that does nothing but handle."""

    @property
    def prepares(self) -> bool:
        """Whether `prepare` does anything: no."""
        return False

    def idle(self) -> None:
        """Nothing."""

    def is_behind(self) -> bool:
        """Never."""
        return False

    def was_done(self, record: Record) -> bool:
        """Never: the same record done again has no effect."""
        return False

    def note_done(self, records: Sequence[Record]) -> None:
        """Nothing."""

    def expired(self, events: Sequence[Event]) -> set[str]:
        """None: there is no deadline."""
        return set()

    def refuse(self, events: Sequence[Event]) -> Mapping[str, Failure]:
        """Nothing to refuse."""
        return {}

    def deferred(self, events: Sequence[Event]) -> set[str]:
        """None."""
        return set()

    def prepare(self, events: Sequence[Event]) -> None:
        """Nothing."""
