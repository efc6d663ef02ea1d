"""A process of the embedded index that replays nothing of the journal."""

import sys
from collections.abc import Callable
from unittest.mock import patch

from infra.qdrant.embedded.client import Request
from infra.qdrant.embedded.engine_process import main
from infra.qdrant.embedded.write_journal import JournalReader


def forget(_reader: JournalReader, _carry_out: Callable[[Request], object]) -> int:
    """Nothing is replayed."""
    return 0


if __name__ == "__main__":
    with patch.object(JournalReader, "replay", forget):
        main(sys.argv[1:])
