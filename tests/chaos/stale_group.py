"""A control: `lookstream` whose workers read the metadata of their group once, at the first batch. Same arguments.

After a rebalance the commit of a batch fails. A worker that reads the metadata for each batch repeats the batch and
loses nothing. A worker that never reads it again can no longer commit.
"""

from unittest.mock import patch

from consumers.workers import query_worker
from infra.kafka import Batch, EventSource
from lookstream.__main__ import main


class StaleGroup(EventSource):
    """A source that always returns the group metadata of the time of its first records."""

    _then: object = None

    def poll_batch(self, limit: int, seconds: float, idle_seconds: float = 0.2) -> Batch:
        """Read a batch; the first one with records fixes the metadata."""
        batch = super().poll_batch(limit, seconds, idle_seconds)
        if batch.records and self._then is None:
            self._then = super().group_metadata()
        return batch

    def group_metadata(self) -> object:
        """The metadata at the first records."""
        return self._then or super().group_metadata()


if __name__ == "__main__":
    with patch.object(query_worker, "EventSource", StaleGroup):
        main()
