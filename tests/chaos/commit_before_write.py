"""A control: `lookstream` whose workers commit offsets before they process the records. Same arguments."""

from unittest.mock import patch

from consumers.workers import index_worker
from infra.kafka import Batch, EventSource
from lookstream.__main__ import main


class CommitBeforeWrite(EventSource):
    """An event source that commits the offsets of each batch as soon as the batch is read."""

    def poll_batch(self, limit: int, seconds: float, idle_seconds: float = 0.2) -> Batch:
        """Read a batch and commit its offsets."""
        batch = super().poll_batch(limit, seconds, idle_seconds)
        self.mark_finished(batch)
        self.commit_sync()
        return batch


if __name__ == "__main__":
    with patch.object(index_worker, "EventSource", CommitBeforeWrite):
        main()
