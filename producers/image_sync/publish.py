"""Picture publisher: send the events of a scan, and record them as sent only after Kafka has acknowledged them."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice

from rich.console import Console

from infra.console import printable
from infra.kafka import EventSink
from producers.image_sync.scan import LocationScanner, ScanStep
from producers.image_sync.state_db import SyncState
from producers.ingest import FLUSH_EVERY, IngestTally, publish_one
from producers.row_reader import BadRow

PATIENCE = timedelta(seconds=10)
"""How long to wait for files that are still changing."""
PAUSE_SECONDS = 0.1
STILL_CHANGING = "it is still being written, and was left out: run this again once it is whole, or with --watch"


@dataclass
class ImagePublisher:
    """Publishes the changes that scans find, in batches; a batch sent again after a crash has no effect."""

    scanner: LocationScanner
    state: SyncState
    sink: EventSink
    console: Console
    on_progress: Callable[[IngestTally], None] = lambda _tally: None
    """Called with the tally each time a batch was acknowledged."""
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    tally: IngestTally = field(default_factory=IngestTally)

    def scan_until_complete(self, stopped: Callable[[], bool]) -> IngestTally:
        """Scan until no file is left for a later scan; files still changing after PATIENCE are bad rows."""
        until = self.now() + PATIENCE
        while not self.scan_once(stopped).interrupted and (unsettled := self.scanner.incomplete_paths):
            if self.now() > until:
                self._publish([ScanStep(BadRow(0, f"{path}: {STILL_CHANGING}"), None, None) for path in unsettled])
                break
            time.sleep(PAUSE_SECONDS)
        return self.tally

    def scan_once(self, stopped: Callable[[], bool]) -> IngestTally:
        """Scan once, and publish all changes; raises Unavailable."""
        steps = self.scanner.scan(self.state.all(), self.now())
        while batch := list(islice(steps, FLUSH_EVERY)):
            if stopped():
                self.tally.interrupt()
                break
            self._publish(batch)
        return self.tally

    def _publish(self, steps: list[ScanStep]) -> None:
        for step in steps:
            publish_one(step.event, self.sink, self.tally)
            if isinstance(step.event, BadRow):
                self.console.print(printable(step.event.message), markup=False, soft_wrap=True)
        self.sink.flush()
        self.state.note(
            [step.sent_image for step in steps if step.sent_image],
            [step.deleted_path for step in steps if step.deleted_path],
        )
        self.on_progress(self.tally)
