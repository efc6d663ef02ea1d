"""Partition assignment: the buffer, pause state and progress of one partition that is assigned to this member."""

import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from infra.kafka.record import Record

OFFSET_LIMIT = 2**63
"""Kafka offsets are signed 64-bit integers."""
MAX_NOTED_OFFSETS = 200
"""Most unfinished offsets in a note, as Kafka limits its size (offset.metadata.max.bytes, 4096 by default). If more
are unfinished, the note covers only the records before the next one; the next owner processes the rest again."""


@dataclass
class Assignment:
    """Buffer, pause state and progress of an assigned partition.

    Records may finish out of order. The committed offset is that of the first unfinished record; a note in the
    commit metadata lists the unfinished offsets after it, so that the next owner skips the finished ones.
    """

    epoch: int
    """Number of this assignment: records that were taken under another epoch do not belong to it."""
    buffer: deque[Record] = field(default_factory=deque)
    size: int = 0
    """Size of the buffered records in bytes."""
    paused: bool | None = None
    """None means unknown: the client may still hold the pause state of an earlier assignment of this partition."""
    resumed: bool = False
    """Whether the last owner's note has been read."""
    start: int = -1
    """Offset that the last owner committed; negative if there is none."""
    open: dict[int, None] = field(default_factory=dict)
    """Offsets that were taken and are not finished, in order."""
    through: int = -1
    """Offset after the last finished record."""
    committed: tuple[int, str] = (-1, "")
    """Offset and note of the last commit."""
    _unreceived: set[int] = field(default_factory=set)
    """Offsets that the last owner left unfinished and that have not been received yet."""

    def mark_committed(self, offset: tuple[int, str]) -> None:
        """Record the offset and the note that the broker has stored."""
        self.committed = offset

    def mark_paused(self, *, paused: bool) -> None:
        """Record whether the client pauses the partition."""
        self.paused = paused

    def receive(self, record: Record) -> None:
        """Add a received record to the buffer."""
        self.buffer.append(record)
        self.size += len(record.value or b"")

    def take(self, is_due: Callable[[Record], bool]) -> Record | None:
        """The next unfinished record, if it is due."""
        while self.resumed and self.buffer and is_due(self.buffer[0]):
            record = self.buffer.popleft()
            self.size -= len(record.value or b"")
            if self._was_finished(record.offset):
                continue
            self.open[record.offset] = None
            return record
        return None

    def resume(self, note: str, start: int = -1) -> None:
        """Continue where the last owner stopped, using the note of its last commit; a malformed note is ignored."""
        self.resumed, self.start = True, start
        try:
            fields = json.loads(note or "{}")
            end, still_open = int(fields["through"]), sorted(int(offset) for offset in fields["open"])
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
            return
        if not all(0 <= offset < OFFSET_LIMIT for offset in (end, *still_open)):
            return
        self.through = max(self.through, end)
        self.open = {offset: None for offset in still_open} | self.open
        self._unreceived = set(still_open)

    def finish(self, offset: int) -> None:
        """Mark a record as finished."""
        self.open.pop(offset, None)
        self.through = max(self.through, offset + 1)

    def progress(self, finished: "frozenset[int] | set[int]" = frozenset()) -> tuple[int, str]:
        """The offset to commit and its note, counting the offsets in `finished` as finished too."""
        end = max([self.through, *(offset + 1 for offset in finished)])
        still_open = [offset for offset in self.open if offset not in finished and offset < end]
        if not still_open:
            return end, ""
        if len(still_open) > MAX_NOTED_OFFSETS:
            end, still_open = still_open[MAX_NOTED_OFFSETS], still_open[:MAX_NOTED_OFFSETS]
        return still_open[0], json.dumps({"through": end, "open": still_open}, separators=(",", ":"))

    def _was_finished(self, offset: int) -> bool:
        """Whether the last owner finished this record; drops earlier open offsets, whose records are deleted."""
        if not self._unreceived and offset >= self.through:
            return False
        for deleted in [unreceived for unreceived in self._unreceived if unreceived < offset]:
            self._unreceived.discard(deleted)
            self.open.pop(deleted, None)
        if offset in self._unreceived:
            self._unreceived.discard(offset)
            return False
        return offset < self.through
