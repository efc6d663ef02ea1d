"""All partitions that are this member's now: what may be taken of them, what is done, which must pause."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice, takewhile

from infra.kafka.assignment import Assignment
from infra.kafka.names import OffsetAndNote
from infra.kafka.record import Partition, Record

DueTime = Callable[[Record], float]
"""When a record may be taken, in seconds since 1970."""


@dataclass(frozen=True)
class BufferLimits:
    """How much may be taken ahead of the work, in records and bytes; partitions are paused beyond it."""

    records: int = 512
    size: int = 64 << 20
    resume_share: float = 0.4
    """A partition is resumed once this share of the room, or of its own part of it, is taken or less."""


@dataclass(frozen=True)
class Batch:
    """Records, and the assignments under which they were taken."""

    records: Sequence[Record] = ()
    epochs: Mapping[Partition, int] = field(default_factory=dict)

    def only(self, records: Sequence[Record]) -> "Batch":
        """Fewer records, and their assignments: that of a partition without any may be over when it comes back."""
        places = {record.place for record in records}
        return Batch(records, {place: epoch for place, epoch in self.epochs.items() if place in places})

    def __add__(self, other: "Batch") -> "Batch":
        return Batch([*self.records, *other.records], {**self.epochs, **other.epochs})


class Assignments:
    """Buffers, pauses and positions, each of one partition."""

    def __init__(self) -> None:
        self._held: dict[Partition, Assignment] = {}
        self._epoch = 0

    def __contains__(self, place: Partition) -> bool:
        return place in self._held

    def __iter__(self) -> Iterator[Partition]:
        return iter(list(self._held))

    def __getitem__(self, place: Partition) -> Assignment:
        return self._held[place]

    def add(self, places: Iterable[Partition]) -> None:
        """The group has given these to this member."""
        for place in places:
            self._epoch += 1
            self._held[place] = Assignment(self._epoch)

    def drop(self, places: Iterable[Partition]) -> None:
        """These have gone; what was buffered of them is another member's."""
        for place in places:
            self._held.pop(place, None)

    @property
    def waiting(self) -> int:
        """How many records were received and not taken."""
        return sum(len(held.buffer) for held in self._held.values())

    def upcoming(self, limit: int, due: DueTime) -> list[Record]:
        """What `take` would give now, without taking it."""
        now = time.time()
        lines = (takewhile(lambda record: due(record) <= now, held.buffer) for held in self._held.copy().values())
        return list(islice(chain.from_iterable(lines), limit))

    def take(self, limit: int, due: DueTime) -> Batch:
        """Up to `limit` records that are due; a partition that gives some comes last the next time."""
        now, records = time.time(), list[Record]()
        for place in list(self._held):
            held, before = self._held[place], len(records)
            while len(records) < limit and (record := held.take(lambda each: due(each) <= now)) is not None:
                records.append(record)
            if len(records) > before:
                self._held[place] = self._held.pop(place)
        return Batch(records, {record.place: self._held[record.place].epoch for record in records})

    def owned(self, batch: Batch) -> Batch:
        """What of a batch is still this member's, under the assignments under which it was taken."""
        current = {place: held.epoch for place, held in self._held.copy().items()}
        return batch.only([r for r in batch.records if current.get(r.place, -1) == batch.epochs.get(r.place)])

    def finish(self, batch: Batch) -> None:
        """These records are done, as far as they are still this member's."""
        for record in self.owned(batch).records:
            self._held[record.place].finish(record.offset)

    def progress(self, batch: Batch) -> dict[Partition, OffsetAndNote]:
        """What is to be committed once this batch, all of which is owned, is done."""
        finished: dict[Partition, set[int]] = {}
        for record in batch.records:
            finished.setdefault(record.place, set()).add(record.offset)
        return {place: self._held[place].progress(offsets) for place, offsets in finished.items()}

    def uncommitted(self) -> dict[Partition, OffsetAndNote]:
        """What is done and not known to be committed."""
        found = {place: held.progress() for place, held in self._held.items()}
        return {place: new for place, new in found.items() if new[0] >= 0 and new != self._held[place].committed}

    def mark_committed(self, offsets: Mapping[Partition, OffsetAndNote]) -> None:
        """The broker has these."""
        for place, offset in offsets.items():
            if place in self._held:
                self._held[place].committed = offset

    def free(self, room: BufferLimits) -> int:
        """How many records may be asked for: what is free, or the part of one partition when nothing is."""
        return max(1, room.records - self.waiting, room.records // max(1, len(self._held)))

    def to_pause(self, room: BufferLimits, due: DueTime) -> list[Partition]:
        """Which must pause: those whose head is not due, which count for nothing, and those that have more than
        their part of a full room.
        """
        counted, total = self._counted(room, due)
        return [
            place
            for place, held in self._held.items()
            if held.paused is not True
            and (place not in counted or (total >= 1 and _share(held, room) * len(counted) >= 1))
        ]

    def to_resume(self, room: BufferLimits, due: DueTime) -> list[Partition]:
        """Which may go on."""
        counted, total = self._counted(room, due)
        return [
            place
            for place, held in counted.items()
            if held.paused is not False and min(_share(held, room) * len(counted), total) <= room.resume_share
        ]

    def _counted(self, room: BufferLimits, due: DueTime) -> tuple[dict[Partition, Assignment], float]:
        now = time.time()
        counted = {
            place: held for place, held in self._held.items() if not held.buffer or due(held.buffer[0]) <= now
        }
        records = sum(len(held.buffer) for held in counted.values())
        size = sum(held.size for held in counted.values())
        return counted, max(records / room.records, size / room.size)


def _share(held: Assignment, room: BufferLimits) -> float:
    return max(len(held.buffer) / room.records, held.size / room.size)
