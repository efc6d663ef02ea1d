"""Parsing: turns records into events, and splits off those that can be answered before the others."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from consumers.runtime.retry_headers import read_origin
from infra.kafka import Partition, Record
from schemas.envelope import Event, from_record
from schemas.failures import Failure, Rejected


@dataclass(frozen=True)
class ParsedRecord:
    """A record, its event if it is readable, and its failure if that is known before it is handled."""

    record: Record
    event: Event | None = None
    failure: Failure | None = None
    already_processed: bool = False
    """Whether a worker that crashed before its commit had already processed the record."""

    @property
    def pending_events(self) -> list[Event]:
        """The event, in a list, if it must still be handled; else an empty list."""
        return [] if self.event is None or self.failure is not None or self.already_processed else [self.event]


def parse(records: Sequence[Record]) -> list[ParsedRecord]:
    """Parse each record. A different event under an id already in use gets its position appended to the id."""
    parsed: list[ParsedRecord] = []
    events: dict[str, Event] = {}
    for record in records:
        origin = read_origin(record, datetime.now(UTC))
        try:
            event = from_record(origin.position, record.key, record.value, record.headers, origin.timestamp_ms)
        except Rejected as failure:
            parsed.append(ParsedRecord(record, None, failure))
            continue
        if events.setdefault(event.id, event).body != event.body:
            event = replace(event, id=f"{event.id}@{origin.position}")
        parsed.append(ParsedRecord(record, replace(event, position=record.position)))
    return parsed


def split_expired(
    parsed: Sequence[ParsedRecord], expired: Collection[str]
) -> tuple[list[ParsedRecord], list[ParsedRecord]]:
    """Split records into those to finish at once (expired, or without an event to handle) and the remaining ones.

    The first list holds only records that precede all remaining ones of their partition, so that its offsets can be
    committed early without gaps. It is empty unless one of its records is expired.
    """
    immediate, remaining = list[ParsedRecord](), list[ParsedRecord]()
    busy_partitions = set[Partition]()
    for entry in parsed:
        if entry.record.place in busy_partitions or any(event.id not in expired for event in entry.pending_events):
            busy_partitions.add(entry.record.place)
            remaining.append(entry)
        else:
            immediate.append(entry)
    return (immediate, remaining) if any(entry.pending_events for entry in immediate) else ([], list(parsed))
