"""A control: `lookstream` whose workers commit what they take before they have done it; takes the same words."""

from unittest.mock import patch

from consumers.workers import index_worker
from infra.kafka import Batch, EventSource
from lookstream.__main__ import main


class Hasty(EventSource):
    """A source that tells the broker at once that all it gives out is done."""

    def take(self, limit: int, seconds: float, idle_seconds: float = 0.2) -> Batch:
        """Records that nobody will be given again."""
        batch = super().take(limit, seconds, idle_seconds)
        self.mark(batch)
        self.commit_now()
        return batch


if __name__ == "__main__":
    with patch.object(index_worker, "EventSource", Hasty):
        main()
