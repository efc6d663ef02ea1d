"""Moments: dates and times as feeds write them."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.facts.moments import read_moment

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
MIDNIGHT = datetime(2026, 1, 31, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-31", MIDNIGHT),
        ("2026-01-31Z", MIDNIGHT),
        ("20260131", MIDNIGHT),
        ("2026/1/31", MIDNIGHT),
        ("31.01.2026", MIDNIGHT),
        ("31.1.2026 12:00", NOON),
        ("2026-01-31T12:00:00Z", NOON),
        ("2026-01-31 12:00:00", NOON),
        ("2026-01-31T13:00+0100", NOON),
        ("2026-01-31 13:00:00 +01:00", NOON),
        ("2026-01-31T13:00:00+01:00[Europe/Berlin]", NOON),
        ("2026-01-31 12:00:00 UTC", NOON),
        ("2026-01-31T12:00:00.000000000Z", NOON),
        ("Sat, 31 Jan 2026 12:00:00 GMT", NOON),
        ("Sat, 31 Jan 2026 13:00:00 +0100", NOON),
        ("1769860800", NOON),
        ("1769860800000", NOON),
        ("1769860800000000", NOON),
        ("1769860800000000000", NOON),
    ],
)
def test_a_moment_is_read_in_its_spellings(text: str, moment: datetime) -> None:
    assert read_moment(text) == moment


@pytest.mark.parametrize(
    "text",
    [
        "",
        "soon",
        "0000-00-00",
        "2026-02-30",
        "31/01/2026",
        "123",
        "0001-01-01T00:00:00+10:00",
        "9" * 20,
        "x" * 10_000,
    ],
)
def test_anything_else_is_no_moment(text: str) -> None:
    with pytest.raises(ValueError, match="it is no date or time"):
        read_moment(text)


@given(st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30)), st.integers(-14 * 60, 14 * 60))
def test_what_iso_writes_is_read(local: datetime, minutes: int) -> None:
    moment = local.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    assert read_moment(moment.isoformat()) == moment


@given(st.text(max_size=80) | st.from_regex(r"[0-9TZ:./+ -]{1,30}", fullmatch=True))
def test_no_text_breaks_the_reading(text: str) -> None:
    with suppress(ValueError):
        assert read_moment(text).tzinfo is not None
