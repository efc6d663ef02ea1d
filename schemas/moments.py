"""Moments on the wire: dates and times that UTC can hold, and the times that records bear."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
MOST_AHEAD = timedelta(hours=1)
"""How far a record's time may lie ahead of the clock: what Apache Kafka allows (message.timestamp.after.max.ms)."""


def _held_by_utc(moment: datetime) -> datetime:
    try:
        moment.astimezone(UTC)
    except OverflowError:
        raise ValueError(
            "in UTC the time lies before the year 1 or after the year 9999: correct the year, or leave it out"
        ) from None
    return moment


Moment = Annotated[AwareDatetime, AfterValidator(_held_by_utc)]
"""A date and time with an offset, which UTC can hold: whatever is computed from it stays within the calendar."""


def microseconds_since_1970(moment: datetime) -> int:
    """An aware time as the index holds it; exact, and for every offset within 64 bits."""
    return (moment - EPOCH) // MICROSECOND


def moment_at(microseconds: float) -> datetime:
    """The time at so many microseconds since 1970; the nearest one of the calendar where that has none.

    Not by way of seconds as a float: that moves late times, the last microsecond of 9999 to the year 10000.
    """
    first, last = (microseconds_since_1970(edge.replace(tzinfo=UTC)) for edge in (datetime.min, datetime.max))
    return EPOCH + min(max(round(microseconds), first), last) * MICROSECOND


def record_time(timestamp_ms: int, now: datetime) -> datetime:
    """The time of a record from its milliseconds since 1970; raises ValueError with a sentence."""
    if timestamp_ms == -1:
        raise ValueError("it has none: have its producer set CreateTime, or its topic use LogAppendTime")
    if timestamp_ms < 0:
        raise ValueError(f"{_cut(timestamp_ms)} ms lies before 1970: set it in milliseconds since 1970, UTC")
    if timestamp_ms > (now + MOST_AHEAD - EPOCH) // timedelta(milliseconds=1):
        raise ValueError(
            f"{_cut(timestamp_ms)} ms lies more than an hour ahead: set it in milliseconds since 1970, UTC, "
            "and the clock of its producer"
        )
    return EPOCH + timedelta(milliseconds=timestamp_ms)


def _cut(number: int) -> str:
    """An integer in a message: those with more than 20 digits by their size, for they may have thousands."""
    return str(number) if number.bit_length() <= 64 else f"a number of {number.bit_length()} bits of"
