"""Picture publisher: send the events of a scan, and record them as sent only after Kafka has acknowledged them."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from rich.console import Console

from infra.console import printable
from infra.futures import map_in_order
from infra.kafka import EventSink
from producers.image_sync.scan import LocationScanner, ScanStep
from producers.image_sync.state_db import SyncState
from producers.ingest.publish import FLUSH_EVERY, IngestTally, publish_one
from producers.row_reader import BadRow

PATIENCE = timedelta(seconds=10)
"""How long to wait for files that are still changing."""
PAUSE_SECONDS = 0.1
FLUSH_SECONDS = 2.0
"""How long events may wait for their acknowledgement while large pictures are prepared: a crash repeats them."""
STILL_CHANGING = "it is still being written, and was left out: run this again once it is whole, or with --watch"


@dataclass
class ImagePublisher:
    """Publishes the changes that scans find, in batches; a batch sent again after a crash has no effect.

    Pictures are read and shrunk in `threads` threads while others are sent, a few ahead; 0: one after the other.
    """

    scanner: LocationScanner
    state: SyncState
    sink: EventSink
    console: Console
    on_progress: Callable[[IngestTally], None] = lambda _tally: None
    """Called with the tally each time a batch was acknowledged."""
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    threads: int = 0
    tally: IngestTally = field(default_factory=IngestTally)
    _unacknowledged: list[ScanStep] = field(default_factory=list)
    _flushed_at: float = field(default_factory=time.monotonic)

    def scan_until_complete(self, stopped: Callable[[], bool]) -> IngestTally:
        """Scan until no file is left for a later scan; files still changing after PATIENCE are bad rows."""
        until = self.now() + PATIENCE
        while not self.scan_once(stopped).interrupted and (unsettled := self.scanner.incomplete_paths):
            if self.now() > until:
                for path in unsettled:
                    self._publish(ScanStep(BadRow(0, f"{path}: {STILL_CHANGING}"), None, None))
                break
            time.sleep(PAUSE_SECONDS)
        return self.tally

    def scan_once(self, stopped: Callable[[], bool]) -> IngestTally:
        """Scan once, and publish all changes; raises Unavailable after the earlier events were acknowledged."""
        changes = self.scanner.changes(self.state.all(), self.now())
        try:
            for step in map_in_order(self.scanner.step_of, changes, self.threads):
                if stopped():
                    self.tally.interrupt()
                    break
                self._publish(step)
        finally:
            self._acknowledge()
        return self.tally

    def _publish(self, step: ScanStep) -> None:
        publish_one(step.event, self.sink, self.tally)
        if isinstance(step.event, BadRow):
            self.console.print(printable(step.event.message), markup=False, soft_wrap=True)
        self._unacknowledged.append(step)
        if len(self._unacknowledged) >= FLUSH_EVERY or time.monotonic() > self._flushed_at + FLUSH_SECONDS:
            self._acknowledge()

    def _acknowledge(self) -> None:
        """Wait until the events are acknowledged, and record their pictures."""
        steps, self._unacknowledged = self._unacknowledged, []
        self.sink.flush()
        self.state.note(
            [step.sent_image for step in steps if step.sent_image],
            [step.deleted_path for step in steps if step.deleted_path],
        )
        self._flushed_at = time.monotonic()
        self.on_progress(self.tally)
