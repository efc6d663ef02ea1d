"""A query worker that kills itself at one step of one batch: `python -m tests.chaos.doomed STEP BATCH words...`.

Takes the words of `lookstream` after the step at which it dies and how many batches it finishes before.
"""

import os
import signal
import sys
from unittest.mock import patch

from consumers import compose_query
from consumers.answered import Answered
from consumers.delivery import AtLeastOnce, Batch, ExactlyOnce
from infra.kafka import EventSource, Record, TransactionSink
from lookstream import main
from tests.chaos.doomed_steps import STEPS

STEP, LEFT = sys.argv[1], int(sys.argv[2])


def die() -> None:
    """kill -9."""
    os.kill(os.getpid(), signal.SIGKILL)


class Doomed(ExactlyOnce):
    """Exactly once, until it dies."""

    left = LEFT

    def __init__(self, source: EventSource, sink: TransactionSink) -> None:
        super().__init__(source, sink)
        self._mine = sink

    def finish(self, batch: Batch) -> None:
        """Die, when it is time."""
        self.left -= 1
        if self.left >= 0 or self._mine.is_empty:
            return super().finish(batch)
        if STEPS[0] != STEP:
            self._mine.arrive()
        if STEPS[2] == STEP:
            self._mine.promise(batch.records, batch.group)
        if STEPS[3] == STEP:
            super().finish(batch)
        die()


class DoomedPlain(AtLeastOnce):
    """The control: answers first, offsets afterwards, and dies between."""

    left = LEFT

    def finish(self, batch: Batch) -> None:
        """Die, when it is time."""
        super().finish(batch)
        self.left -= 1
        if self.left < 0:
            die()


class Forgetful(Answered):
    """The control again: what was answered by others is not looked up."""

    def has(self, record: Record) -> bool:
        """Never."""
        return os.environ.get("LOOKSTREAM_WORKER_SEARCH_DELIVERY") != "at_least_once" and super().has(record)


if __name__ == "__main__":
    del sys.argv[1:3]
    with (
        patch.object(compose_query, "ExactlyOnce", Doomed),
        patch.object(compose_query, "AtLeastOnce", DoomedPlain),
        patch.object(compose_query, "Answered", Forgetful),
    ):
        main()
