"""Moments: validate dates and times, and convert them to and from integer timestamps."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
MAX_AHEAD = timedelta(hours=1)
"""How far a record's time may be ahead of the clock, the default of Kafka's message.timestamp.after.max.ms."""


def _check_utc_range(moment: datetime) -> datetime:
    try:
        moment.astimezone(UTC)
    except OverflowError:
        raise ValueError(
            "in UTC the time is before the year 1 or after the year 9999: correct the year, or omit the field"
        ) from None
    return moment


Moment = Annotated[AwareDatetime, AfterValidator(_check_utc_range)]
"""A date and time with a UTC offset that can be represented in UTC (years 1 to 9999), so that conversions cannot
overflow."""


def microseconds_since_1970(moment: datetime) -> int:
    """Convert an aware time to the integer that the index stores; exact, and within 64 bits for every offset."""
    return (moment - EPOCH) // MICROSECOND


def moment_at(microseconds: float) -> datetime:
    """Convert microseconds since 1970 to a time; values outside the years 1 to 9999 are clamped.

    The conversion avoids seconds as a float, which would round late times: the last microsecond of the year 9999
    would become the year 10000.
    """
    first, last = (microseconds_since_1970(limit.replace(tzinfo=UTC)) for limit in (datetime.min, datetime.max))
    return EPOCH + min(max(round(microseconds), first), last) * MICROSECOND


def record_time(timestamp_ms: int, now: datetime) -> datetime:
    """Convert a record's timestamp (milliseconds since 1970) to a time; raises ValueError with a remedy."""
    if timestamp_ms == -1:
        raise ValueError("it has none: set CreateTime in the producer, or LogAppendTime in the topic")
    if timestamp_ms < 0:
        raise ValueError(f"{_shorten(timestamp_ms)} ms is before 1970: set it in milliseconds since 1970, UTC")
    if timestamp_ms > (now + MAX_AHEAD - EPOCH) // timedelta(milliseconds=1):
        raise ValueError(
            f"{_shorten(timestamp_ms)} ms is more than an hour ahead: set it in milliseconds since 1970, UTC, "
            "and check the clock of the producer"
        )
    return EPOCH + timedelta(milliseconds=timestamp_ms)


def _shorten(number: int) -> str:
    """Format an integer for a message; above 64 bits only as its size, because it may have thousands of digits."""
    return str(number) if number.bit_length() <= 64 else f"a number of {number.bit_length()} bits of"
