"""Outcome tracker: the outcome of each event of a run, in a few bytes an event."""

import threading
import time
import uuid
from array import array
from collections import Counter
from collections.abc import Callable, Iterator

from producers.ingest.reason_counts import ReasonCounts, place_of
from producers.ingest.report import ReportLine
from schemas.outcomes import ItemBlocked, ItemIndexed, ItemOutcome, ItemRejected, ItemRemoved, ItemSuperseded

NEW, UNCHANGED, FACTS = "indexed, new pictures", "indexed, pictures unchanged", "indexed, facts changed"
REMOVED, BLOCKED, SUPERSEDED, REJECTED = "removed", "blocked", "superseded", "rejected"
KINDS = (NEW, UNCHANGED, FACTS, REMOVED, BLOCKED, SUPERSEDED, REJECTED)
"""The kinds of outcomes, in the order of the summary."""


class OutcomeTracker:
    """Numbers the events of a run, and counts their outcomes, which arrive in any order in another thread.

    The id of an event is the id of the run and its number, so that no map of ids is needed: a run of 1,000,000
    events takes about 33 MB, most of it for the item ids (12 characters each).
    """

    def __init__(self, on_outcome: Callable[[ReportLine], None] = lambda _line: None) -> None:
        """`on_outcome` is called with each outcome, in the thread that calls `record`."""
        self.run_id = uuid.uuid4().hex
        self.counts = Counter[str]()
        """Number of events by outcome, one of KINDS."""
        self.rejections, self.superseded, self.blocks = ReasonCounts(), ReasonCounts(), ReasonCounts()
        self.skipped_images = ReasonCounts()
        """Further pictures of items that were indexed without them."""
        self.changed_at = time.monotonic()
        """When the newest event was sent or the newest outcome arrived, by the monotonic clock."""
        self._on_outcome = on_outcome
        self._lines, self._ends = array("Q"), array("Q")
        self._item_ids = bytearray()
        self._done = bytearray()
        self._withdrawn = 0
        self._lock = threading.Lock()

    @property
    def sent(self) -> int:
        """Number of events."""
        return len(self._done) - self._withdrawn

    @property
    def finished(self) -> int:
        """Number of events that have an outcome."""
        return self.counts.total()

    def add(self, item_id: str, line: int) -> str:
        """Add an event before it is sent; returns its id."""
        with self._lock:
            self._lines.append(line)
            self._item_ids += item_id.encode()
            self._ends.append(len(self._item_ids))
            self._done.append(0)
            self.changed_at = time.monotonic()
            return f"{self.run_id}-{len(self._done) - 1}"

    def withdraw(self) -> None:
        """Forget the event that was added last: it could not be sent."""
        with self._lock:
            self._done[-1] = 1
            self._withdrawn += 1

    def record(self, outcome: ItemOutcome) -> None:
        """Count an outcome; those of other runs, and repeated ones, are ignored."""
        run_id, _, number = outcome.event_id.partition("-")
        if run_id != self.run_id or not number.isdecimal():
            return
        with self._lock:
            n = int(number)
            if n >= len(self._done) or self._done[n]:
                return
            self._done[n] = 1
            line, item_id = self._lines[n], self._item_id(n)
            self.changed_at = time.monotonic()
        self._on_outcome(self._count(outcome, line, item_id))

    def unfinished(self) -> Iterator[ReportLine]:
        """The events without an outcome."""
        n = self._done.find(0)
        while n >= 0:
            yield ReportLine(self._lines[n], self._item_id(n), "sent", "", "no outcome has arrived")
            n = self._done.find(0, n + 1)

    def _item_id(self, n: int) -> str:
        return self._item_ids[self._ends[n - 1] if n else 0 : self._ends[n]].decode()

    def _count(self, outcome: ItemOutcome, line: int, item_id: str) -> ReportLine:
        place = place_of(line, item_id)
        match outcome:
            case ItemIndexed():
                self.counts[NEW if outcome.images else UNCHANGED if outcome.unchanged else FACTS] += 1
                notes = [f"picture {skipped.image}: {skipped.message}" for skipped in outcome.skipped]
                for skipped in outcome.skipped:
                    self.skipped_images.add(f"{skipped.code}: {skipped.message}", place)
                return ReportLine(line, item_id, "indexed", "", "; ".join(notes))
            case ItemRemoved():
                self.counts[REMOVED] += 1
                return ReportLine(line, item_id, REMOVED)
            case ItemBlocked():
                self.counts[BLOCKED] += 1
                labels = f"moderation labels: {', '.join(outcome.labels)}"
                self.blocks.add(labels, place)
                return ReportLine(line, item_id, BLOCKED, "", labels)
            case ItemSuperseded():
                self.counts[SUPERSEDED] += 1
                message = outcome.message or f"revision {outcome.newest} is in effect already"
                self.superseded.add(message, place)
                return ReportLine(line, item_id, SUPERSEDED, "", message)
            case ItemRejected():
                self.counts[REJECTED] += 1
                self.rejections.add(f"{outcome.code}: {outcome.message}", place)
                return ReportLine(line, item_id, REJECTED, outcome.code, outcome.message)
