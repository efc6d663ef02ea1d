"""Availability: every common spelling of what can be bought now."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.facts.availability import _availability_words, _keyword, read_availability, read_boolean

SCHEMA_ORG = {
    "InStock": (True, None),
    "LimitedAvailability": (True, None),
    "OnlineOnly": (True, None),
    "InStoreOnly": (True, None),
    "OutOfStock": (False, None),
    "SoldOut": (False, None),
    "PreOrder": (False, "preorder"),
    "PreSale": (False, "preorder"),
    "BackOrder": (False, "backorder"),
    "MadeToOrder": (False, "made_to_order"),
    "Reserved": (False, "reserved"),
    "Discontinued": (False, "discontinued"),
}


@pytest.mark.parametrize(
    "prefix", ["", "https://schema.org/", "http://schema.org/", "http://www.schema.org/", "schema:"]
)
@pytest.mark.parametrize(("word", "expected"), SCHEMA_ORG.items())
def test_the_values_of_schema_org_are_read(prefix: str, word: str, expected: tuple[bool, str | None]) -> None:
    assert read_availability(prefix + word) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("in stock", (True, None)),
        ("In-Stock", (True, None)),
        ("in_stock", (True, None)),
        ("instock", (True, None)),
        ("out of stock", (False, None)),
        ("outofstock", (False, None)),
        ("onbackorder", (False, "backorder")),
        ("available for order", (False, "available_for_order")),
        ("preorder", (False, "preorder")),
        ("pending", (False, "pending")),
        ("discontinued", (False, "discontinued")),
        ("TRUE", (True, None)),
        ("no", (False, None)),
        ("1", (True, None)),
        ("0", (False, None)),
        ("12", (True, None)),
        ("12.0000", (True, None)),
        ("0.0000", (False, None)),
        ("-2", (False, None)),
        ("10+", (True, None)),
        (">5", (True, None)),
        ("3 pcs", (True, None)),
        ("only 2 left", (True, None)),
        ("5 in stock", (True, None)),
        ("in stock: 5", (True, None)),
        ("In stock (0)", (False, None)),
        ("out of stock (3)", (False, None)),
        ("https://schema.org/ItemAvailability/InStock", (True, None)),
        ("mark_as_sold", (False, None)),
        ("Auf Lager", (True, None)),
        ("nicht lieferbar", (False, None)),
        ("en stock", (True, None)),
        ("Rupture de stock", (False, None)),
        ("agotado", (False, None)),
        ("op voorraad", (True, None)),
    ],
)
def test_words_booleans_and_quantities_are_read(text: str, expected: tuple[bool, str | None]) -> None:
    assert read_availability(text) == expected


@pytest.mark.parametrize("text", ["maybe", "", "soon", "in stock " * 20, "https://schema.org/", "12 apples"])
def test_anything_else_is_no_availability(text: str) -> None:
    with pytest.raises(ValueError, match="it is no availability"):
        read_availability(text)


def test_each_word_of_the_table_is_found_by_itself() -> None:
    for word, expected in _availability_words().items():
        assert _keyword(word) == word
        assert read_availability(word) == expected


@pytest.mark.parametrize(
    ("text", "value"), [("Yes", True), ("nein", False), ("", None), ("adult", None), ("FALSE", False)]
)
def test_booleans_have_many_spellings(text: str, value: bool | None) -> None:
    assert read_boolean(text) is value


@given(st.text(max_size=100))
def test_no_text_breaks_the_reading(text: str) -> None:
    with suppress(ValueError):
        is_in_stock, kind = read_availability(text)
        assert kind is None or not is_in_stock
