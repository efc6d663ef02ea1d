"""A control: `lookstream` whose workers pause all partitions together when their buffer is full. Same arguments."""

from unittest.mock import patch

from infra.kafka import BufferLimits, Partition, source
from infra.kafka.assignments import Assignments, DueTime
from lookstream.__main__ import main


class SharedPause(Assignments):
    """One pause for all partitions; records that are not due count as well."""

    def to_pause(self, room: BufferLimits, _due: DueTime) -> list[Partition]:
        """All partitions, when the buffer is full."""
        return [place for place in self if not self[place].paused] if self.waiting >= room.records else []

    def to_resume(self, room: BufferLimits, _due: DueTime) -> list[Partition]:
        """All partitions, when the buffer is nearly empty."""
        little = self.waiting <= room.records * room.resume_share
        return [place for place in self if self[place].paused] if little else []


if __name__ == "__main__":
    with patch.object(source, "Assignments", SharedPause):
        main()
