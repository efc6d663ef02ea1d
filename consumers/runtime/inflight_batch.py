"""In-flight batch: the state of a batch in processing as the polling thread sees it."""

import time
from concurrent.futures import Future
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue

from consumers.runtime.commit import FinishedBatch
from consumers.runtime.parsing import ParsedRecord
from infra.kafka import Batch


@dataclass
class InFlightBatch:
    """A batch in processing. Its `future` returns the deferred records."""

    batch: Batch
    future: "Future[list[ParsedRecord]]"
    finished: "SimpleQueue[FinishedBatch | None]"
    """Finished parts in their order; None comes last."""
    is_complete: bool = False
    """Whether processing has ended, and all finished parts were collected."""
    started_at: float = field(default_factory=time.monotonic)

    def collect(self, seconds: float) -> list[FinishedBatch]:
        """Return the parts finished since the last call; wait up to `seconds` for one, or until the batch ends."""
        collected = list[FinishedBatch]()
        try:
            part = self.finished.get(timeout=seconds)
            while part is not None:
                collected.append(part)
                part = self.finished.get_nowait()
            self.is_complete = True
        except Empty:
            pass
        return collected
