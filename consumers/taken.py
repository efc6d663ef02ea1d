"""Taken records: what each says, and which of them can be answered before the others are worked on."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from consumers.settle import origin_of
from infra.kafka import Record
from schemas.envelope import Event, from_record
from schemas.failures import Failure, Rejected


@dataclass(frozen=True)
class Taken:
    """A record, its event if it could be read, and why it could not."""

    record: Record
    event: Event | None = None
    failure: Failure | None = None
    was_done: bool = False
    """Whether a worker that died before it could say so had done it."""

    @property
    def to_do(self) -> list[Event]:
        """Its event, if there is anything to be done about it."""
        return [] if self.event is None or self.was_done else [self.event]


def never(_record: Record) -> bool:
    """For records that may be done again to no effect."""
    return False


def parse(records: Sequence[Record], was_done: Callable[[Record], bool] = never) -> list[Taken]:
    """The event of each record. Two that differ and still have one id are told apart by their positions."""
    taken: list[Taken] = []
    seen: dict[str, Event] = {}
    for record in records:
        origin = origin_of(record, datetime.now(UTC))
        try:
            event = from_record(origin.position, record.key, record.value, record.headers, origin.timestamp_ms)
        except Rejected as rejected:
            taken.append(Taken(record, None, rejected))
            continue
        if seen.setdefault(event.id, event).body != event.body:
            event = replace(event, id=f"{event.id}@{origin.position}")
        taken.append(Taken(record, event, was_done=was_done(record)))
    return taken


def part_hopeless(taken: Sequence[Taken], hopeless: Collection[str]) -> tuple[list[Taken], list[Taken]]:
    """Those that can be settled at once, being hopeless or nothing to do; and those that are to be worked on.

    Offsets that are committed say that all before them is done, so of each partition only records that come
    before any that is to be worked on are among the first. Without any that is hopeless there are none.
    """
    first, then = list[Taken](), list[Taken]()
    at_work = set[tuple[str, int]]()
    for one in taken:
        place = one.record.topic, one.record.partition
        if place in at_work or any(event.id not in hopeless for event in one.to_do):
            at_work.add(place)
            then.append(one)
        else:
            first.append(one)
    return (first, then) if any(one.to_do for one in first) else ([], list(taken))
