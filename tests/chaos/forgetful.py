"""A control: `tests.chaos.engine_server` whose optimised copies do not replay what was written meanwhile."""

import runpy
from collections.abc import Callable
from unittest.mock import patch

from infra.qdrant.embedded import Request
from infra.qdrant.journal import Reader


def forget(_reader: Reader, _carry_out: Callable[[Request], object]) -> int:
    """Nothing is replayed."""
    return 0


if __name__ == "__main__":
    with patch.object(Reader, "replay", forget):
        runpy.run_module("tests.chaos.engine_server", run_name="__main__")
