"""Availability: whether an item can be bought now, from the words, booleans and quantities of feeds."""

import re
import tomllib
import unicodedata
from functools import cache, lru_cache
from pathlib import Path

TABLE = Path(__file__).with_name("availability.toml")
SCHEMA_ORG = re.compile(r"(?:(?:https?:)?/*(?:www\.)?schema\.org/|schema:)(?:ItemAvailability[/#.])?", re.I)
QUANTITY = re.compile(
    r"[<>~≥≤=]*\s*(-?)\s*(\d[\d., ]*)\s*\+?\s*(?:x|pcs?|pieces?|units?|items?|st|stk|stück)?\.?", re.I
)
LONGEST = 80
"""Most characters of a cell of availability."""


def read_availability(text: str) -> tuple[bool, str | None]:
    """Whether an item is in stock; and if not, the value of its attribute `availability` where there is one.

    Raises ValueError.
    """
    return _read_availability(text[: LONGEST + 1])


@lru_cache(maxsize=1_024)
def _read_availability(text: str) -> tuple[bool, str | None]:
    plain = unicodedata.normalize("NFKC", text).strip()
    found = _availability_words().get(_keyword(SCHEMA_ORG.sub("", plain)))
    if found is not None and len(plain) <= LONGEST:
        return found
    quantity = QUANTITY.fullmatch(plain)
    if quantity is not None:
        return quantity[1] != "-" and any(digit not in "0., " for digit in quantity[2]), None
    letters = "".join(letter for letter in plain if not letter.isdigit())
    counted = _availability_words().get(_keyword(letters)) if letters != plain else None
    if counted is None:
        raise ValueError("it is no availability: write in_stock, out_of_stock, preorder, backorder or a quantity")
    is_zero = all(
        letter == "0" for letter in plain if letter.isdigit()
    )  # 5 in stock, in stock: 5, out of stock (0)
    return (False, None) if is_zero else counted


def read_boolean(text: str) -> bool | None:
    """The value of a yes or no in a common spelling; None if it is neither."""
    return _boolean_words().get(_keyword(unicodedata.normalize("NFKC", text[:LONGEST])))


@cache
def _boolean_words() -> dict[str, bool]:
    table = _table()
    return {word: value == "true" for value in ("true", "false") for word in str(table[value]).split()}


@cache
def _availability_words() -> dict[str, tuple[bool, str | None]]:
    table = _table()
    words: dict[str, tuple[bool, str | None]] = {word: (value, None) for word, value in _boolean_words().items()}
    words |= dict.fromkeys(str(table["in_stock"]).split(), (True, None))
    words |= dict.fromkeys(str(table["out_of_stock"]).split(), (False, None))
    later = table["later"]
    assert isinstance(later, dict)
    return words | {word: (False, kind) for kind, text in later.items() for word in str(text).split()}


@cache
def _table() -> dict[str, object]:
    with TABLE.open("rb") as file:
        return tomllib.load(file)


def _keyword(text: str) -> str:
    """The letters and digits of a text in lower case, so that `In-Stock` and `in_stock` are one word."""
    return "".join(letter for letter in text.casefold() if letter.isalnum())
