"""Keeping: each look's events go out, and only then is it noted that they have."""

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
"""How long files that change are waited for."""
PAUSE_SECONDS = 0.1
STILL_CHANGING = "it is still being written, and was left out: run this again once it is whole, or with --watch"


@dataclass
class ImagePublisher:
    """Publishes what looks find, some at a time; what was killed in between sends those again, to no effect."""

    watched: LocationScanner
    known: SyncState
    sink: EventSink
    console: Console
    show: Callable[[IngestTally], None] = lambda _tally: None
    """Is told each time that events have arrived."""
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    tally: IngestTally = field(default_factory=IngestTally)

    def look_at_all(self, stopped: Callable[[], bool]) -> IngestTally:
        """Look until nothing is left for a later look; what does not stop changing is told as bad."""
        until = self.now() + PATIENCE
        while not self.look(stopped).interrupted and (left := self.watched.unsettled):
            if self.now() > until:
                self._publish([ScanStep(BadRow(0, f"{path}: {STILL_CHANGING}"), None, None) for path in left])
                break
            time.sleep(PAUSE_SECONDS)
        return self.tally

    def look(self, stopped: Callable[[], bool]) -> IngestTally:
        """Look once, and publish all that has changed; raises Unavailable."""
        steps = self.watched.look(self.known.all(), self.now())
        while some := list(islice(steps, FLUSH_EVERY)):
            if stopped():
                self.tally.interrupted = True
                break
            self._publish(some)
        return self.tally

    def _publish(self, steps: list[ScanStep]) -> None:
        for step in steps:
            publish_one(step.event, self.sink, self.tally)
            if isinstance(step.event, BadRow):
                self.console.print(printable(step.event.message), markup=False, soft_wrap=True)
        self.sink.flush()
        self.known.note([step.sent for step in steps if step.sent], [step.gone for step in steps if step.gone])
        self.show(self.tally)
