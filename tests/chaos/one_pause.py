"""A control: `lookstream` whose workers pause all partitions at once when they hold much; takes the same words."""

from unittest.mock import patch

from infra.kafka import BufferLimits, Partition, source
from infra.kafka.assignments import Assignments, DueTime
from lookstream.__main__ import main


class OnePause(Assignments):
    """All partitions share one pause, for which records count that are not due."""

    def to_pause(self, room: BufferLimits, _due: DueTime) -> list[Partition]:
        """All, when as much as there is room for waits."""
        return [place for place in self if not self[place].paused] if self.waiting >= room.records else []

    def to_resume(self, room: BufferLimits, _due: DueTime) -> list[Partition]:
        """All, when little waits."""
        little = self.waiting <= room.records * room.resume_share
        return [place for place in self if self[place].paused] if little else []


if __name__ == "__main__":
    with patch.object(source, "Assignments", OnePause):
        main()
