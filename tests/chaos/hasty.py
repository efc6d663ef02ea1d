"""A control: `lookstream` whose workers commit what they take before they have done it; takes the same words."""

from unittest.mock import patch

from consumers.workers import index_worker
from infra.kafka import Batch, EventSource
from lookstream.__main__ import main


class Hasty(EventSource):
    """A source that tells the broker at once that all it gives out is done."""

    def poll_batch(self, limit: int, seconds: float, idle_seconds: float = 0.2) -> Batch:
        """Records that nobody will be given again."""
        batch = super().poll_batch(limit, seconds, idle_seconds)
        self.mark_finished(batch)
        self.commit_sync()
        return batch


if __name__ == "__main__":
    with patch.object(index_worker, "EventSource", Hasty):
        main()
