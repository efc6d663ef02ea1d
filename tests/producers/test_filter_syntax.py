"""Filters and crops as people type them."""

from datetime import UTC, datetime

import pytest

from infra.config.errors import BadInput
from producers.filter_syntax import parse_crop, parse_filters
from schemas.filters import Filters
from schemas.searches import Crop


def test_every_filter_is_understood() -> None:
    texts = [
        "category=Shoes", "category=Boots", "brand=Acme", "creator=ann", "source=social", "colour=red",
        "color=navy", "tag=summer", "not-item=7", "price=10..50.5", "currency=EUR", "in_stock=true",
        "created=2026-01-01..2026-02-01", "attribute=material=felt", "revision=5..9",
    ]  # fmt: skip
    assert parse_filters(texts) == Filters(
        category=("Shoes", "Boots"),
        brand=("Acme",),
        creator=("ann",),
        source=("social",),
        colours=("red", "navy"),
        tags=("summer",),
        attributes=("material=felt",),
        revision_min=5,
        revision_max=9,
        exclude_items=("7",),
        price_min=10,
        price_max=50.5,
        currency="EUR",
        in_stock=True,
        created_after=datetime(2026, 1, 1, tzinfo=UTC),
        created_before=datetime(2026, 2, 1, tzinfo=UTC),
    )


def test_no_filter_is_no_condition() -> None:
    assert parse_filters([]) == Filters()


def test_a_colour_may_be_a_hex_code_with_or_without_a_distance() -> None:
    texts = ["colour=#aa2233~15", "colour=#AA2233", "colour=red"]
    assert parse_filters(texts).colours == ("#aa2233~15", "#AA2233", "red")


def test_a_value_may_hold_an_equals_sign() -> None:
    assert parse_filters(["brand=a=b"]).brand == ("a=b",)


@pytest.mark.parametrize(("text", "low", "high"), [("price=10..", 10, None), ("price=..50", None, 50)])
def test_a_range_may_be_open(text: str, low: float | None, high: float | None) -> None:
    found = parse_filters([text])
    assert (found.price_min, found.price_max) == (low, high)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("size=7", "there is category, brand"),
        ("category", "NAME=VALUE"),
        ("category=", "NAME=VALUE"),
        ("colour=purpel", "black, white, grey"),
        ("colour=#12345", "write #rrggbb"),
        ("colour=#aa2233~0", "distance of 1 to 40"),
        ("colour=#aa2233~41", "colour=#aa2233~41"),
        ("colour=red~5", "colour=red~5"),
        ("source=shop", "'catalog' or 'social'"),
        ("price=10", "write a range"),
        ("price=..", "write a range"),
        ("price=a..b", "not numbers"),
        ("price=50..10", "swap them"),
        ("currency=euro", "`currency`"),
        ("in_stock=perhaps", "true or false"),
        ("created=soon..", "ISO 8601"),
        ("created=2026-02-01..2026-01-01", "swap them"),
    ],
)
def test_a_filter_that_makes_no_sense_is_refused_with_what_exists(text: str, part: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_filters([text])
    assert part in str(caught.value)


def test_a_filter_with_one_value_is_not_given_twice() -> None:
    with pytest.raises(BadInput, match="given before"):
        parse_filters(["price=1..2", "price=3..4"])


def test_a_crop_is_four_fractions() -> None:
    assert parse_crop("0.1,0.2, 0.5,0.5") == Crop(x=0.1, y=0.2, w=0.5, h=0.5)


@pytest.mark.parametrize("text", ["", "1,2,3", "a,b,c,d", "0.8,0,0.5,1", "0,0,0,1", "nan,0,1,1"])
def test_a_crop_that_is_impossible_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="--crop"):
        parse_crop(text)
