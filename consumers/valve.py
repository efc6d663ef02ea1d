"""The dead-letter valve: so many refused events mean that something is misconfigured, not that events are bad."""

from collections import deque

from infra.kafka import Record

WINDOW = 500
"""Events of which the share is taken (getsentry/arroyo's DlqLimit, with its figures)."""


class ValveClosed(Exception):
    """Too many events were refused; the message gives the last reason and the remedy."""


class Valve:
    """Counts dead letters: `in_a_row` in one partition, or more than `share` of the last 500 events, close it."""

    def __init__(self, in_a_row: int, share: float) -> None:
        self._in_a_row = in_a_row
        self._share = share
        self._rows: dict[int | str, int] = {}
        self._last: deque[bool] = deque(maxlen=WINDOW)

    def count(self, record: Record, *, dead: bool) -> bool:
        """Count an event that was settled; whether the valve is closed now."""
        place = f"{record.topic}/{record.partition}"
        self._rows[place] = self._rows.get(place, 0) + 1 if dead else 0
        self._last.append(dead)
        many = len(self._last) == WINDOW and sum(self._last) > self._share * WINDOW
        return dead and (many or self._rows[place] >= self._in_a_row)


class OpenValve:
    """Never closes: for searches, where anybody's bad requests must not stop everybody's good ones."""

    def count(self, _record: Record, *, dead: bool) -> bool:
        """Always false."""
        return False
