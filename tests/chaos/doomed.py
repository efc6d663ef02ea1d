"""A query worker that kills itself at one step of one batch: `python -m tests.chaos.doomed STEP BATCH words...`.

Takes the words of `lookstream` after the step at which it dies and how many batches it finishes before.
"""

import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from unittest.mock import patch

from consumers.runtime.batches import FinishedBatch
from consumers.runtime.commit import AtLeastOnceCommit
from consumers.searching.reply_deduplication import ReplyDeduplicator
from consumers.workers import query_worker
from infra.kafka import Batch, OffsetAndMetadata, OutgoingRecord, Partition, Record, TransactionSink
from lookstream.__main__ import main
from tests.chaos.doomed_steps import STEPS

STEP, LEFT = sys.argv[1], int(sys.argv[2])


def die() -> None:
    """kill -9."""
    os.kill(os.getpid(), signal.SIGKILL)


class Doomed(TransactionSink):
    """Transactions, until it dies."""

    left = LEFT
    _steps = 0

    def commit(
        self,
        records: Sequence[OutgoingRecord],
        offsets: Mapping[Partition, OffsetAndMetadata],
        group_metadata: Callable[[], object],
    ) -> None:
        """Die, when it is time."""
        self.left -= 1
        super().commit(records, offsets, group_metadata)
        if self.left < 0:
            die()

    def _step(self, step: Callable[[], None]) -> None:
        if self.left < 0:
            self._steps += 1
            if self._steps == 1 and STEPS[0] == STEP:
                die()
            if self._steps == 1 and STEPS[1] == STEP:
                self._sink.flush()
                die()
            if self._steps == 2 and STEPS[2] == STEP:
                self._sink.flush()
                die()
        super()._step(step)


class DoomedPlain(AtLeastOnceCommit):
    """The control: answers first, offsets afterwards, and dies between."""

    left = LEFT

    def collect(self, batch: Batch) -> FinishedBatch:
        """Die, when it is time."""
        finished = super().collect(batch)
        self.left -= 1
        if self.left < 0:
            die()
        return finished


class Forgetful(ReplyDeduplicator):
    """The control again: what was answered by others is not looked up."""

    def is_answered(self, record: Record) -> bool:
        """Never."""
        return os.environ.get("LOOKSTREAM_WORKER_SEARCH_DELIVERY") != "at_least_once" and super().is_answered(
            record
        )


if __name__ == "__main__":
    del sys.argv[1:3]
    with (
        patch.object(query_worker, "TransactionSink", Doomed),
        patch.object(query_worker, "AtLeastOnceCommit", DoomedPlain),
        patch.object(query_worker, "ReplyDeduplicator", Forgetful),
    ):
        main()
