"""Partition assignments: the buffers, progress and pause decisions of all partitions assigned to this member."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice, takewhile

from infra.kafka.assignment import Assignment
from infra.kafka.names import OffsetAndMetadata
from infra.kafka.record import Partition, Record

DueTime = Callable[[Record], float]
"""Returns the time from which a record may be taken, in seconds since 1970."""


@dataclass(frozen=True)
class BufferLimits:
    """Limits of prefetched data, in records and bytes; partitions are paused beyond them."""

    records: int = 512
    bytes: int = 64 << 20
    resume_share: float = 0.4
    """A partition is resumed when it uses at most this share of its own part of the limits, or when all partitions
    together use at most this share of the limits."""


@dataclass(frozen=True)
class Batch:
    """Records, with the epoch of the assignment under which each partition's records were taken."""

    records: Sequence[Record] = ()
    epochs: Mapping[Partition, int] = field(default_factory=dict)

    def only(self, records: Sequence[Record]) -> "Batch":
        """A subset of the records, with the epochs of their partitions only.

        A partition without records may have been reassigned by the time that the batch comes back.
        """
        partitions = {record.place for record in records}
        return Batch(
            records, {partition: epoch for partition, epoch in self.epochs.items() if partition in partitions}
        )

    def __add__(self, other: "Batch") -> "Batch":
        return Batch([*self.records, *other.records], {**self.epochs, **other.epochs})


class Assignments:
    """Buffers, pause states and progress of the assigned partitions."""

    def __init__(self) -> None:
        self._assignments: dict[Partition, Assignment] = {}
        self._epoch = 0

    def __contains__(self, partition: Partition) -> bool:
        return partition in self._assignments

    def __iter__(self) -> Iterator[Partition]:
        return iter(list(self._assignments))

    def __getitem__(self, partition: Partition) -> Assignment:
        return self._assignments[partition]

    def add(self, partitions: Iterable[Partition]) -> None:
        """Add partitions that the group has assigned to this member."""
        for partition in partitions:
            self._epoch += 1
            self._assignments[partition] = Assignment(self._epoch)

    def drop(self, partitions: Iterable[Partition]) -> None:
        """Remove revoked partitions and their buffers, which now belong to another member."""
        for partition in partitions:
            self._assignments.pop(partition, None)

    @property
    def waiting(self) -> int:
        """Number of records that were received, but not taken yet."""
        return sum(len(assignment.buffer) for assignment in self._assignments.values())

    def upcoming(self, limit: int, due: DueTime) -> list[Record]:
        """The records that `take` would return now, without taking them."""
        now = time.time()
        due_records = (
            takewhile(lambda record: due(record) <= now, assignment.buffer)
            for assignment in self._assignments.copy().values()
        )
        return list(islice(chain.from_iterable(due_records), limit))

    def take(self, limit: int, due: DueTime) -> Batch:
        """Up to `limit` due records; a partition that supplied records comes last at the next call."""
        now, records = time.time(), list[Record]()
        for partition in list(self._assignments):
            assignment, count_before = self._assignments[partition], len(records)
            while len(records) < limit and (record := assignment.take(lambda each: due(each) <= now)) is not None:
                records.append(record)
            if len(records) > count_before:
                self._assignments[partition] = self._assignments.pop(partition)
        return Batch(records, {record.place: self._assignments[record.place].epoch for record in records})

    def owned(self, batch: Batch) -> Batch:
        """The records of a batch whose partitions are still assigned to this member under the same epoch."""
        current = {partition: assignment.epoch for partition, assignment in self._assignments.copy().items()}
        return batch.only([r for r in batch.records if current.get(r.place, -1) == batch.epochs.get(r.place)])

    def finish(self, batch: Batch) -> None:
        """Mark records as finished if their partitions are still assigned under the same epoch."""
        for record in self.owned(batch).records:
            self._assignments[record.place].finish(record.offset)

    def progress(self, batch: Batch) -> dict[Partition, OffsetAndMetadata]:
        """The offsets to commit once this batch, which must be owned entirely, is finished."""
        finished: dict[Partition, set[int]] = {}
        for record in batch.records:
            finished.setdefault(record.place, set()).add(record.offset)
        return {
            partition: self._assignments[partition].progress(offsets) for partition, offsets in finished.items()
        }

    def uncommitted(self) -> dict[Partition, OffsetAndMetadata]:
        """Offsets of finished records that are not known to be committed."""
        found = {partition: assignment.progress() for partition, assignment in self._assignments.items()}
        return {
            partition: new
            for partition, new in found.items()
            if new[0] >= 0 and new != self._assignments[partition].committed
        }

    def mark_committed(self, offsets: Mapping[Partition, OffsetAndMetadata]) -> None:
        """Record that the broker has stored these offsets."""
        for partition, offset in offsets.items():
            if partition in self._assignments:
                self._assignments[partition].mark_committed(offset)

    def free_records(self, limits: BufferLimits) -> int:
        """How many records may be fetched: the free part of the limit, but at least one partition's share of it."""
        return max(1, limits.records - self.waiting, limits.records // max(1, len(self._assignments)))

    def to_pause(self, limits: BufferLimits, due: DueTime) -> list[Partition]:
        """Partitions to pause.

        These are the partitions whose first record is not due, which do not count towards the limits; and, once a
        limit is reached, the partitions that have used up their own part of it.
        """
        active, total = self._active(limits, due)
        return [
            partition
            for partition, assignment in self._assignments.items()
            if assignment.paused is not True
            and (partition not in active or (total >= 1 and _buffer_share(assignment, limits) * len(active) >= 1))
        ]

    def to_resume(self, limits: BufferLimits, due: DueTime) -> list[Partition]:
        """Partitions to resume."""
        active, total = self._active(limits, due)
        return [
            partition
            for partition, assignment in active.items()
            if assignment.paused is not False
            and min(_buffer_share(assignment, limits) * len(active), total) <= limits.resume_share
        ]

    def _active(self, limits: BufferLimits, due: DueTime) -> tuple[dict[Partition, Assignment], float]:
        now = time.time()
        active = {
            partition: assignment
            for partition, assignment in self._assignments.items()
            if not assignment.buffer or due(assignment.buffer[0]) <= now
        }
        records = sum(len(assignment.buffer) for assignment in active.values())
        size = sum(assignment.size for assignment in active.values())
        return active, max(records / limits.records, size / limits.bytes)


def _buffer_share(assignment: Assignment, limits: BufferLimits) -> float:
    return max(len(assignment.buffer) / limits.records, assignment.size / limits.bytes)
