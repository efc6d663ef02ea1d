"""A process of the embedded index that does not replay the write journal."""

import sys
from collections.abc import Callable
from unittest.mock import patch

from infra.qdrant.embedded.client import Request
from infra.qdrant.embedded.engine_process import main
from infra.qdrant.embedded.write_journal import JournalReader


def replay_nothing(_reader: JournalReader, _carry_out: Callable[[Request], object]) -> int:
    """Replay nothing; 0 writes."""
    return 0


if __name__ == "__main__":
    with patch.object(JournalReader, "replay", replay_nothing):
        main(sys.argv[1:])
