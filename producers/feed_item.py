"""Feed items: an event made of a row, the line of the row, and which of its facts the event does not contain."""

from dataclasses import dataclass

from producers.row_reader import BadRow, SkippedRow
from schemas.items import ItemDeleted, ItemPatched, ItemUpserted

FeedEvent = ItemUpserted | ItemPatched | ItemDeleted


@dataclass(frozen=True, slots=True)
class FeedItem:
    """The event of one row of a feed."""

    event: FeedEvent
    line: int
    """Line of the row in its file, from 1; for a topic the offset."""
    left_out: tuple[str, ...] = ()
    """One sentence for each fact that was left out or cut: the column, a colon, and what is wrong."""


FeedResult = FeedItem | BadRow | SkippedRow
