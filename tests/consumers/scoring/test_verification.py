"""When a collection verifies hits by keypoints, and how much an agreement counts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.scoring.verification import (
    MIN_AGREEING,
    MIN_GAIN,
    MIN_SEARCHES,
    NO_VERIFICATION,
    Verification,
    parse_verification,
    verification_boost,
)
from schemas.ranking import MAX_BOOST


@given(st.integers(0, 150), st.integers(0, 150))
def test_more_agreeing_points_are_never_worth_less(one: int, other: int) -> None:
    less, more = sorted((one, other))
    assert 0 <= verification_boost(less) <= verification_boost(more) <= MAX_BOOST


def test_too_few_points_are_worth_nothing() -> None:
    assert verification_boost(MIN_AGREEING - 1) == 0
    assert verification_boost(MIN_AGREEING) > 0


@pytest.mark.parametrize(
    ("searches", "before", "after", "is_on"),
    [
        (MIN_SEARCHES, 0.8, 0.8 + MIN_GAIN, True),
        (MIN_SEARCHES - 1, 0.0, 1.0, False),
        (64, 0.9, 0.9 + MIN_GAIN / 2, False),
        (64, 0.9, 0.8, False),
    ],
)
def test_it_is_on_where_more_searches_find_their_own_picture_first(
    searches: int, before: float, after: float, *, is_on: bool
) -> None:
    assert Verification(searches, before, after).is_on == is_on


def test_what_a_note_holds_is_read_again() -> None:
    verification = Verification(64, 0.5, 0.75)
    assert parse_verification(verification.note()) == verification
    assert parse_verification({"searches": 64, "before": 0, "after": 1}).is_on
    for other in (None, {}, {"searches": "many"}):
        assert parse_verification(other) == NO_VERIFICATION


def test_it_is_described_for_people() -> None:
    assert (
        Verification(64, 0.5, 0.75)
        .describe()
        .startswith("on: of 64 augmented pictures 50% find their own picture first")
    )
    assert Verification(64, 0.9, 0.9).describe().startswith("off: of 64 augmented pictures 90%")
    assert NO_VERIFICATION.describe().startswith("off: not tried yet")
