"""Parsing: what each record says, and which of them can be settled before the others are worked on."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from consumers.runtime.retry_headers import origin_of
from infra.kafka import Partition, Record
from schemas.envelope import Event, from_record
from schemas.failures import Failure, Rejected


@dataclass(frozen=True)
class ParsedRecord:
    """A record, its event if it could be read, and why it cannot be done, if that is known already."""

    record: Record
    event: Event | None = None
    failure: Failure | None = None
    was_done: bool = False
    """Whether a worker that died before it could say so had done it."""

    @property
    def to_do(self) -> list[Event]:
        """Its event, if there is anything to be done about it."""
        return [] if self.event is None or self.failure is not None or self.was_done else [self.event]


def parse(records: Sequence[Record]) -> list[ParsedRecord]:
    """The event of each record. Two that differ and still have one id are told apart by their positions."""
    parsed: list[ParsedRecord] = []
    events: dict[str, Event] = {}
    for record in records:
        origin = origin_of(record, datetime.now(UTC))
        try:
            event = from_record(origin.position, record.key, record.value, record.headers, origin.timestamp_ms)
        except Rejected as rejected:
            parsed.append(ParsedRecord(record, None, rejected))
            continue
        if events.setdefault(event.id, event).body != event.body:
            event = replace(event, id=f"{event.id}@{origin.position}")
        parsed.append(ParsedRecord(record, replace(event, position=record.position)))
    return parsed


def split_expired(
    parsed: Sequence[ParsedRecord], expired: Collection[str]
) -> tuple[list[ParsedRecord], list[ParsedRecord]]:
    """Those that can be settled at once, being expired or nothing to do; and those that are to be worked on.

    Of each partition only records that come before any that is to be worked on are among the first, so that what
    is committed early is a row without gaps. Without any that is expired there are none.
    """
    first, then = list[ParsedRecord](), list[ParsedRecord]()
    at_work = set[Partition]()
    for each in parsed:
        if each.record.place in at_work or any(event.id not in expired for event in each.to_do):
            at_work.add(each.record.place)
            then.append(each)
        else:
            first.append(each)
    return (first, then) if any(each.to_do for each in first) else ([], list(parsed))
