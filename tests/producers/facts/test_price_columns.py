"""Price columns: which of a row's prices counts."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from producers.facts.price_columns import PRICE_FIELDS, PriceReader

NOW = datetime.now(UTC)
PAST, FUTURE = (NOW - timedelta(days=9)).isoformat(), (NOW + timedelta(days=9)).isoformat()
LONG_AGO = (NOW - timedelta(days=99)).isoformat()


def read(**cells: object) -> tuple[tuple[Decimal, str] | None, list[str]]:
    left_out: list[str] = []
    return PriceReader({name: name for name in PRICE_FIELDS}, "EUR").read(cells, left_out), left_out


@pytest.mark.parametrize(
    ("cells", "price"),
    [
        ({"price": "20 EUR"}, "20"),
        ({"price": "20 EUR", "sale_price": "10 EUR"}, "10"),
        ({"price": "20 EUR", "sale_price": "10", "currency": ""}, "10"),
        ({"price": "20", "sale_price": ""}, "20"),
        ({"price": "20", "sale_price": None}, "20"),
        ({"price": "20", "sale_price": "0"}, "20"),
        ({"price": "20", "sale_price": "0.0000"}, "20"),
        ({"price": "20", "sale_price": "30"}, "20"),
        ({"price": "20 EUR", "sale_price": "10 USD"}, "20"),
        ({"sale_price": "10"}, "10"),
        ({"price": "20", "sale_price": "10", "sale_price_effective_date": f"{PAST}/{FUTURE}"}, "10"),
        ({"price": "20", "sale_price": "10", "sale_price_effective_date": f"{PAST} / {FUTURE}"}, "10"),
        ({"price": "20", "sale_price": "10", "sale_price_effective_date": f"{PAST}/"}, "10"),
        ({"price": "20", "sale_price": "10", "sale_price_effective_date": f"/{FUTURE}"}, "10"),
        ({"price": "20", "sale_price": "10", "sale_price_effective_date": f"{LONG_AGO}/{PAST}"}, "20"),
        ({"price": "20", "sale_price": "10", "sale_price_effective_date": f"{FUTURE}/"}, "20"),
    ],
)
def test_the_sale_price_counts_while_it_is_valid_and_lower(cells: dict[str, object], price: str) -> None:
    assert read(**cells) == ((Decimal(price), "EUR"), [])


@pytest.mark.parametrize(
    ("cells", "price", "note"),
    [
        ({"price": "x", "sale_price": "10"}, "10", "price: `x` is left out"),
        ({"price": "20", "sale_price": "x"}, "20", "sale_price: `x` is left out"),
        (
            {"price": "20", "sale_price": "10", "sale_price_effective_date": "soon"},
            "20",
            "sale_price_effective_date: `soon` cannot be read, so the sale price is left out",
        ),
        (
            {"price": "20", "sale_price": "10", "sale_price_effective_date": FUTURE},
            "20",
            "sale_price_effective_date: ",
        ),
    ],
)
def test_what_cannot_be_read_is_named(cells: dict[str, object], price: str, note: str) -> None:
    found, [left_out] = read(**cells)
    assert found == (Decimal(price), "EUR")
    assert left_out.startswith(note)


@pytest.mark.parametrize(("cell", "code"), [("usd", "USD"), ("$", "USD"), ("€", "EUR"), ("kr", "SEK"), ("", "EUR")])
def test_the_currency_has_its_own_column(cell: str, code: str) -> None:
    assert read(price="20", currency=cell) == ((Decimal(20), code), [])


def test_a_sale_price_has_the_currency_of_the_price() -> None:
    assert read(price="20 USD", sale_price="10") == ((Decimal(10), "USD"), [])


@pytest.mark.parametrize("cell", ["zz", {"x": 1}, ["EUR"]])
def test_a_price_in_an_unknown_currency_is_left_out(cell: object) -> None:
    price, left_out = read(price="20", currency=cell)
    assert price is None
    assert [each.partition(":")[0] for each in left_out] == ["currency", "price"]
