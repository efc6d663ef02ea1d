"""Ports: the interfaces that the loop requires of a batch handler, a sink and a heartbeat."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from infra.kafka import OutgoingRecord, Record
from infra.observability.heartbeat import READY
from schemas.envelope import Event
from schemas.failures import Failure


class RecordSink(Protocol):
    """Sends records unchanged; implemented by infra.kafka.EventSink."""

    def send_record(self, record: OutgoingRecord) -> None: ...
    def flush(self) -> None: ...


class Sink(RecordSink, Protocol):
    """Sends events; implemented by infra.kafka.EventSink."""

    def send(self, topic: str, key: str, event: Event, partition: int | None = None) -> None: ...


class Heartbeat(Protocol):
    """Reports that a worker is alive; implemented by infra.observability.heartbeat.HeartbeatFile."""

    def beat(self, state: str = READY, why: str | None = None) -> None: ...


class BatchHandler(Protocol):
    """Handles the events of a worker. HandlerDefaults implements all but `handle`."""

    @property
    def prepares(self) -> bool:
        """Whether `prepare` does anything."""

    def handle(self, events: Sequence[Event]) -> Mapping[str, Failure]:
        """Handle a batch and return a Failure for each event id that failed; all other events are done.

        Raises Unavailable when nothing can be done for now: the batch is handled again.
        """

    def idle(self) -> None:
        """Do one small maintenance step; called whenever no records came. Raises Unavailable."""

    def is_behind(self) -> bool:
        """Whether the loop should take larger batches, to skip quickly over records that came too late."""

    def already_processed(self, record: Record) -> bool:
        """Whether a worker that crashed before its commit has already processed this record."""

    def mark_processed(self, records: Sequence[Record]) -> None:
        """Receive the records that are done, as are all before them in their partitions."""

    def expired_ids(self, events: Sequence[Event]) -> set[str]:
        """Return the ids of events that cannot be done in time; they are refused before the others."""

    def handle_expired(self, events: Sequence[Event]) -> Mapping[str, Failure]:
        """Handle the expired events, quickly; they are committed before the others."""

    def deferred_ids(self, events: Sequence[Event]) -> set[str]:
        """Return the ids of events that must wait for something else; the loop asks again soon."""

    def prepare(self, events: Sequence[Event]) -> None:
        """Prepare for events that come next (e.g. fetch pictures), on its own thread; best effort."""


class HandlerDefaults:
    """Defaults for all methods of BatchHandler but `handle`."""

    @property
    def prepares(self) -> bool:
        return False

    def idle(self) -> None:
        """Do nothing."""

    def is_behind(self) -> bool:
        return False

    def already_processed(self, record: Record) -> bool:
        """Return False: to process a record again has no effect."""
        return False

    def mark_processed(self, records: Sequence[Record]) -> None:
        """Do nothing."""

    def expired_ids(self, events: Sequence[Event]) -> set[str]:
        """Return no ids: events have no deadline."""
        return set()

    def handle_expired(self, events: Sequence[Event]) -> Mapping[str, Failure]:
        """Return no failures: no event expires."""
        return {}

    def deferred_ids(self, events: Sequence[Event]) -> set[str]:
        return set()

    def prepare(self, events: Sequence[Event]) -> None:
        """Do nothing."""
