"""What people see of a feed while it goes out."""

import io
import time

from rich.console import Console

from producers.ingest import IngestTally, display_tally

PATIENCE_SECONDS = 10


def shown(*, terminal: bool) -> str:
    out = io.StringIO()
    with display_tally(Console(file=out, force_terminal=terminal, width=100)) as show:
        until = time.monotonic() + (PATIENCE_SECONDS if terminal else 0.5)
        while "sent 3 events" not in out.getvalue() and time.monotonic() < until:
            show(IngestTally(sent=3))
            time.sleep(0.02)
    return out.getvalue()


def test_a_tally_is_shown_as_it_grows_on_a_terminal_and_nowhere_else() -> None:
    assert "sent 3 events" in shown(terminal=True)
    assert shown(terminal=False).strip() == ""
