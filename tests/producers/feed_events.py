"""The events of a feed, for tests that check events only."""

from collections.abc import Iterable, Iterator

from producers.feed_item import FeedEvent, FeedItem, FeedResult
from producers.row_reader import BadRow, SkippedRow

EventResult = FeedEvent | BadRow | SkippedRow


def events_of(rows: Iterable[FeedResult]) -> Iterator[EventResult]:
    """The rows, with the event in place of each item."""
    for row in rows:
        yield row.event if isinstance(row, FeedItem) else row
