"""A batch in flight, as the polling thread sees it: what of it is finished, and whether all is."""

import time
from concurrent.futures import Future
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue

from consumers.runtime.commit import FinishedBatch
from consumers.runtime.parsing import ParsedRecord
from infra.kafka import Batch


@dataclass
class InFlightBatch:
    """A batch that is being processed."""

    batch: Batch
    future: "Future[list[ParsedRecord]]"
    finished: "SimpleQueue[FinishedBatch | None]"
    """What is finished, in its order; None comes last."""
    is_over: bool = False
    """Whether it is processed, and all that was finished of it was collected."""
    since: float = field(default_factory=time.monotonic)

    def collect(self, seconds: float) -> list[FinishedBatch]:
        """What is finished since the last call, waiting so long for it, or until the batch is processed."""
        collected = list[FinishedBatch]()
        try:
            found = self.finished.get(timeout=seconds)
            while found is not None:
                collected.append(found)
                found = self.finished.get_nowait()
            self.is_over = True
        except Empty:
            pass
        return collected
