"""Objects made during the start are excluded from later collections."""

import gc

from infra.processes.garbage_collection import freeze_startup_objects


class Node:
    """An object that the collector knows."""


def test_what_the_start_has_made_is_not_looked_through_again() -> None:
    made = Node()
    try:
        freeze_startup_objects()
        assert not any(known is made for known in gc.get_objects())
        later = Node()
        assert any(known is later for known in gc.get_objects())
    finally:
        gc.unfreeze()
