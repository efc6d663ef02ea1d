"""One partition while it is this member's: what was received of it, and how far its records are done."""

import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from infra.kafka.record import Record

MOST_OFFSETS = 2**63
"""Kafka counts offsets in 64 bits."""
MOST_NOTED = 200
"""Records that a note can say to be open: it must fit Kafka's limit (offset.metadata.max.bytes, 4096 by default).
Of what lies behind more of them the next owner hears nothing, and does it again."""


@dataclass
class Assignment:
    """A partition's buffer, pause and position.

    Records may be done out of order. What is committed is the offset of the first that is not; a note beside it
    says which of the later ones are done, so that the next owner leaves these out.
    """

    epoch: int
    """Counts assignments: what was taken under another epoch is not this assignment's."""
    buffer: deque[Record] = field(default_factory=deque)
    size: int = 0
    """Bytes in the buffer."""
    paused: bool | None = None
    """Unknown at first: the client may still have it as it was when this member had it before."""
    resumed: bool = False
    """Whether the note of the last owner has been read."""
    start: int = -1
    """The offset that the last owner had committed; below 0 for none."""
    open: dict[int, None] = field(default_factory=dict)
    """Offsets that were taken and are not done, in their order."""
    through: int = -1
    """The offset behind the last record that is done."""
    committed: tuple[int, str] = (-1, "")
    """What was committed last."""
    _missing: set[int] = field(default_factory=set)
    """Offsets that the last owner left open and that have not arrived yet."""

    def receive(self, record: Record) -> None:
        """Add a record that has arrived."""
        self.buffer.append(record)
        self.size += len(record.value or b"")

    def take(self, is_due: Callable[[Record], bool]) -> Record | None:
        """The next record to be done, if one is due."""
        while self.resumed and self.buffer and is_due(self.buffer[0]):
            record = self.buffer.popleft()
            self.size -= len(record.value or b"")
            if self._was_done(record.offset):
                continue
            self.open[record.offset] = None
            return record
        return None

    def resume(self, note: str, start: int = -1) -> None:
        """Go on where the last owner stopped, by the note of its last commit; any other note is ignored."""
        self.resumed, self.start = True, start
        try:
            found = json.loads(note or "{}")
            through, still_open = int(found["through"]), sorted(int(offset) for offset in found["open"])
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
            return
        if not all(0 <= offset < MOST_OFFSETS for offset in (through, *still_open)):
            return
        self.through = max(self.through, through)
        self.open = {offset: None for offset in still_open} | self.open
        self._missing = set(still_open)

    def finish(self, offset: int) -> None:
        """A record is done."""
        self.open.pop(offset, None)
        self.through = max(self.through, offset + 1)

    def progress(self, finished: "frozenset[int] | set[int]" = frozenset()) -> tuple[int, str]:
        """The offset to commit and its note, as if the offsets in `finished` were done too."""
        through = max([self.through, *(offset + 1 for offset in finished)])
        still_open = [offset for offset in self.open if offset not in finished and offset < through]
        if not still_open:
            return through, ""
        if len(still_open) > MOST_NOTED:
            through, still_open = still_open[MOST_NOTED], still_open[:MOST_NOTED]
        return still_open[0], json.dumps({"through": through, "open": still_open}, separators=(",", ":"))

    def _was_done(self, offset: int) -> bool:
        """Whether the last owner did this one; those it left open before it are gone from the topic."""
        if not self._missing and offset >= self.through:
            return False
        for gone in [missing for missing in self._missing if missing < offset]:
            self._missing.discard(gone)
            self.open.pop(gone, None)
        if offset in self._missing:
            self._missing.discard(offset)
            return False
        return offset < self.through
