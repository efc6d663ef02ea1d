"""A query worker that kills itself in a commit: `python -m tests.chaos.crash_in_commit STEP BATCHES ...`.

STEP is the step of the commit at which it dies, BATCHES the number of batches that it finishes before. The
arguments of `lookstream` follow.
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
from tests.chaos.commit_steps import STEPS

STEP, LEFT = sys.argv[1], int(sys.argv[2])


def die() -> None:
    """Kill this process with SIGKILL."""
    os.kill(os.getpid(), signal.SIGKILL)


class CrashingSink(TransactionSink):
    """A transaction sink that kills its process at STEP of the batch after `left` others."""

    left = LEFT
    _steps = 0

    def commit(
        self,
        records: Sequence[OutgoingRecord],
        offsets: Mapping[Partition, OffsetAndMetadata],
        group_metadata: Callable[[], object],
    ) -> None:
        """Count the batch and commit it; die after the commit unless the process died at a step of it."""
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


class CrashingCommit(AtLeastOnceCommit):
    """The control: it sends the answers, then dies before the offsets are committed."""

    left = LEFT

    def collect(self, batch: Batch) -> FinishedBatch:
        """Send the answers of a batch; die after the last one."""
        finished = super().collect(batch)
        self.left -= 1
        if self.left < 0:
            die()
        return finished


class NoDeduplication(ReplyDeduplicator):
    """The second half of the control: it does not look up the requests that other workers have answered."""

    def is_answered(self, record: Record) -> bool:
        """Whether a request was answered; never with at-least-once delivery."""
        return os.environ.get("LOOKSTREAM_WORKER_SEARCH_DELIVERY") != "at_least_once" and super().is_answered(
            record
        )


if __name__ == "__main__":
    del sys.argv[1:3]
    with (
        patch.object(query_worker, "TransactionSink", CrashingSink),
        patch.object(query_worker, "AtLeastOnceCommit", CrashingCommit),
        patch.object(query_worker, "ReplyDeduplicator", NoDeduplication),
    ):
        main()
