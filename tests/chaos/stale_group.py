"""A control: `lookstream` whose workers ask once what their group is, at the first batch; takes the same words.

A worker that asks anew with each batch is refused its commit after a rebalance, does the batch again, and loses
nothing: it is only later. One that never asks again commits nothing any more.
"""

from unittest.mock import patch

from consumers.workers import query_worker
from infra.kafka import Batch, EventSource
from lookstream.__main__ import main


class StaleGroup(EventSource):
    """A source that tells of its group what was so when it gave out the first records."""

    _then: object = None

    def poll_batch(self, limit: int, seconds: float, idle_seconds: float = 0.2) -> Batch:
        """Records."""
        batch = super().poll_batch(limit, seconds, idle_seconds)
        if batch.records and self._then is None:
            self._then = super().group_metadata()
        return batch

    def group_metadata(self) -> object:
        """How the group was then."""
        return self._then or super().group_metadata()


if __name__ == "__main__":
    with patch.object(query_worker, "EventSource", StaleGroup):
        main()
