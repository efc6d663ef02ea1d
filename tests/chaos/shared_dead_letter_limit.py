"""A control: `lookstream` whose limit of dead letters counts all tenants together. Same arguments."""

from unittest.mock import patch

from consumers.runtime.dead_letter_limit import DeadLetterLimit
from consumers.workers import index_worker
from lookstream.__main__ import main


class SharedLimit(DeadLetterLimit):
    """One limit for all tenants: the bad events of one delay the events of all."""

    def record_outcome(self, _tenant: str, *, dead: bool) -> None:
        """Count an event."""
        super().record_outcome("", dead=dead)

    def is_set_aside(self, _tenant: str) -> bool:
        """Whether all events wait for now."""
        return super().is_set_aside("")


if __name__ == "__main__":
    with patch.object(index_worker, "DeadLetterLimit", SharedLimit):
        main()
