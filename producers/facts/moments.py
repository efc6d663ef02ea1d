"""Moments of feeds: read dates and times in the spellings of feeds, exports and databases."""

import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from producers.row_reader import parse_time
from schemas.moments import EPOCH

UNITS = ((10**17, 1_000_000_000), (10**14, 1_000_000), (10**11, 1_000), (10**8, 1))
"""Least number, and parts of a second, of each unit in which a number may count since 1970. Each begins in 1973."""
LOOSE_DATE = re.compile(r"(\d{4})[/.](\d{1,2})[/.](\d{1,2})(.*)|(\d{1,2})\.(\d{1,2})\.(\d{4})(.*)", re.ASCII)
SPACED_OFFSET = re.compile(r"\s+(?=(?:[+-]\d{2}:?\d{2}|Z)$)")
ZONE_NAMES = re.compile(r"\s*(?:UTC|GMT)$|\[[\w/+-]+\]$|(?<=\d{4}-\d\d-\d\d)Z$")
"""UTC by name, the name of a zone that follows its offset, and the offset of a date (Debezium's IsoDate)."""
LONGEST = 64


def read_moment(text: str) -> datetime:
    """The moment of an ISO 8601 or RFC 2822 text, `31.01.2026`, `2026/1/31`, or a number of seconds since 1970.

    Numbers may count milli-, micro- or nanoseconds too. Without an offset it is UTC. Raises ValueError.
    """
    if text[4:5] == "-" and len(text) <= LONGEST:  # as most feeds write it
        with suppress(ValueError, OverflowError):
            return _in_range(parse_time(text))
    plain = SPACED_OFFSET.sub("", ZONE_NAMES.sub("", text[: LONGEST + 1].strip()))
    if len(plain) <= LONGEST:
        if re.fullmatch(r"\d{9,19}", plain, re.ASCII):
            return _since_1970(int(plain))
        loose = LOOSE_DATE.fullmatch(plain)
        if loose is not None:
            year, month, day, rest = loose.groups()[:4] if loose[1] else (loose[7], loose[6], loose[5], loose[8])
            plain = f"{year}-{month:0>2}-{day:0>2}{rest}"
        for parse in (parse_time, _parse_rfc2822):
            try:
                return _in_range(parse(plain))
            except (ValueError, TypeError, IndexError, OverflowError):
                continue
    raise ValueError("it is no date or time: write it as 2026-01-31T12:00:00Z (ISO 8601)")


def _parse_rfc2822(text: str) -> datetime:
    found = parsedate_to_datetime(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _in_range(moment: datetime) -> datetime:
    moment.astimezone(UTC)  # raises OverflowError outside of the years 1 to 9999
    return moment


def _since_1970(number: int) -> datetime:
    for least, parts in UNITS:
        if number >= least:
            return EPOCH + timedelta(microseconds=number * 1_000_000 // parts)
    raise ValueError("it is no date or time: a number must count the seconds since 1970, or parts of them")
