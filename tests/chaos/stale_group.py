"""A control: `lookstream` whose workers say at a commit what their group was at the take; takes the same words."""

from unittest.mock import patch

from consumers import compose_query
from infra.kafka import Batch, EventSource
from lookstream import main


class StaleGroup(EventSource):
    """A source that tells of its group what was so when it gave out the last records."""

    _then: object = None

    def take(self, limit: int, seconds: float, idle_seconds: float = 0.2) -> Batch:
        """Records, and how the group is now."""
        taken = super().take(limit, seconds, idle_seconds)
        if taken.records:
            self._then = super().group_metadata()
        return taken

    def group_metadata(self) -> object:
        """How the group was then."""
        return self._then or super().group_metadata()


if __name__ == "__main__":
    with patch.object(compose_query, "EventSource", StaleGroup):
        main()
