"""The files on the path of an item event and of a search: few, and none of the other path's room."""

import pytest

from tests.walks import walks

pytestmark = pytest.mark.long
MOST_STOPS = {"consumers/indexing/": 20, "consumers/searching/": 23}
"""Files of the own room, and other rooms, by the own room."""


def test_the_walks_are_short_and_never_meet() -> None:
    indexing, searching = walks()
    for walk, other in ((indexing, searching), (searching, indexing)):
        assert walk.stops[0].startswith(walk.room), "the room was entered"
        assert len(walk.stops) <= MOST_STOPS[walk.room], walk.stops
        assert not any(file.startswith(other.room) for file in walk.files)
