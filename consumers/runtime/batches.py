"""Batches of the loop: one in processing, as the polling thread sees it, and its finished parts."""

import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue

from consumers.runtime.parsing import ParsedRecord
from infra.kafka import Batch, OutgoingRecord


@dataclass(frozen=True)
class FinishedBatch:
    """Records that were processed, and the records to send together with their offsets."""

    batch: Batch
    outgoing: Sequence[OutgoingRecord] = ()
    sequence: int = 0
    """1 for the first finished batch of a strategy, 2 for the next, and so on."""


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
