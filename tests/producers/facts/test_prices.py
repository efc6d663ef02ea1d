"""Prices: every common spelling of an amount and its currency."""

import struct
from contextlib import suppress
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.facts.currencies import decimals_of, find_currency
from producers.facts.prices import read_price

DASH, MINUS, THIN, NO_BREAK, QUOTE = chr(0x2013), chr(0x2212), chr(0x202F), chr(0xA0), chr(0x2019)


@pytest.mark.parametrize(
    ("cell", "amount", "code"),
    [
        ("12.00 EUR", "12.00", "EUR"),
        ("EUR 12.00", "12.00", "EUR"),
        ("12.00EUR", "12.00", "EUR"),
        (f"12.00{NO_BREAK}EUR", "12.00", "EUR"),
        (f"12.00{THIN}EUR", "12.00", "EUR"),
        ("12.00 eur", "12.00", "EUR"),
        ("usd 12", "12", "USD"),
        ("12", "12", "EUR"),
        ("$12.00", "12.00", "USD"),
        ("US$12.00", "12.00", "USD"),
        ("12 $ CAD", "12", "CAD"),
        ("1 299,50 RUR", "1299.50", "RUB"),
        ("C$5", "5", "CAD"),
        ("12,00 €", "12.00", "EUR"),
        ("€12", "12", "EUR"),
        ("£9.99", "9.99", "GBP"),
        ("¥1,200", "1200", "JPY"),
        ("₹ 1,23,456.00", "123456", "INR"),
        ("Rs. 500", "500", "INR"),
        ("49,90 zł", "49.90", "PLN"),
        ("499 kr", "499", "SEK"),
        ("499 kr.", "499", "SEK"),
        ("R$ 1.234,56", "1234.56", "BRL"),
        ("1 234,56 ₽", "1234.56", "RUB"),
        ("12 euro", "12", "EUR"),
        ("USD $12", "12", "USD"),
        ("$12 AUD", "12", "AUD"),
        (f"{chr(0xFFE5)}12{chr(0x5143)}", "12", "CNY"),
        ("&euro;12", "12", "EUR"),
        ("12&nbsp;EUR", "12", "EUR"),
        ("12 (EUR)", "12", "EUR"),
        ("12 € / piece", "12", "EUR"),
    ],
)
def test_the_currency_is_a_code_a_symbol_or_a_name(cell: str, amount: str, code: str) -> None:
    assert read_price(cell, "EUR") == (Decimal(amount), code)


@pytest.mark.parametrize(
    ("cell", "amount"),
    [
        ("12,00", "12.00"),
        ("1.234,56", "1234.56"),
        ("1,234.56", "1234.56"),
        ("1 234,56", "1234.56"),
        (f"1{NO_BREAK}234,56", "1234.56"),
        (f"1{THIN}234.56", "1234.56"),
        ("1'234.50", "1234.50"),
        (f"1{QUOTE}234.50", "1234.50"),
        ("1,23,456.00", "123456"),
        ("12,34,567", "1234567"),
        ("1.234.567", "1234567"),
        ("1,234,567.89", "1234567.89"),
        ("1 234 567", "1234567"),
        ("12.0000", "12.00"),
        ("19.990000", "19.99"),
        ("19.989999771118164", "19.99"),
        ("12345.990234375", "12345.99"),
        ("0.0375", "0.0375"),
        ("12.3456789", "12.3457"),
        ("1.999E1", "19.99"),
        ("1.5e+3", "1500"),
        ("1E2", "100"),
        ("12,-", "12"),
        ("1.000,-", "1000"),
        ("1'234.--", "1234"),
        (f"12.{DASH}", "12"),
        ("12.", "12"),
        (".99", "0.99"),
        (",5", "0.5"),
        ("0", "0"),
        ("0.00", "0"),
        ("+12", "12"),
        ("12,00 incl. VAT", "12"),
        ("Preis: 12,00", "12"),
        ("".join(chr(0x660 + int(digit)) for digit in "12") + chr(0x66B) + chr(0x665), "12.5"),
        ("".join(chr(ord(letter) + 0xFEE0) for letter in "12.50"), "12.50"),
    ],
)
def test_the_number_has_the_separators_of_its_country(cell: str, amount: str) -> None:
    assert read_price(cell, "EUR") == (Decimal(amount), "EUR")


@pytest.mark.parametrize(
    ("cell", "amount"),
    [
        ("1,234 EUR", "1234"),
        ("1.234 EUR", "1.234"),
        ("19.990 EUR", "19.99"),
        ("1.234 €", "1234"),
        ("€1,234", "1234"),
        ("R$ 1.234", "1234"),
        ("$1.234", "1.234"),
        ("1.234 JPY", "1234"),
        ("12.900 CLP", "12900"),
        ("150.000 IDR", "150000"),
        ("1,234 JPY", "1234"),
        ("1,234 KWD", "1.234"),
        ("1.234 KWD", "1.234"),
        ("0,125 EUR", "0.125"),
        ("1234,567 EUR", "1234.567"),
    ],
)
def test_one_separator_before_three_digits_means_what_the_module_says(cell: str, amount: str) -> None:
    assert read_price(cell, None)[0] == Decimal(amount)


@pytest.mark.parametrize(
    "cell",
    ["10 - 20 EUR", f"10{DASH}20 EUR", "10 EUR - 20 EUR", "20 to 10 EUR", "from 10 EUR", "ab 10 €", "10 bis 20 €",
     "à partir de 10 €", "desde 10 €", "from 10 to 20 EUR", "10.00~20.00 EUR"],
)  # fmt: skip
def test_a_range_is_its_lowest_price(cell: str) -> None:
    assert read_price(cell, None) == (Decimal(10), "EUR")


@pytest.mark.parametrize(
    "cell",
    [
        {"amount": "12.00", "currency": "EUR"},
        {"value": "12", "currency": "eur"},
        {"amount": "12.0", "currencyCode": "EUR"},
        {"price": "12", "priceCurrency": "EUR"},
        {"amountMicros": "12000000", "currencyCode": "EUR"},
        {"centAmount": "1200", "currencyCode": "EUR", "fractionDigits": "2"},
        {"price": "1200", "regular_price": "1500", "currency_code": "EUR", "currency_minor_unit": "2"},
        {"unit_amount": "1200", "currency": "eur"},
        {"price": {"amount": "12", "currencyCode": "EUR"}},
        {"min": "12", "max": "20", "currency": "EUR"},
        '{"amount": "12.00", "currency": "EUR"}',
        ["12 EUR", "13 EUR"],
        '["12 EUR"]',
        {"amount": "12 EUR"},
    ],
)
def test_a_price_may_be_an_object_or_a_list(cell: object) -> None:
    assert read_price(cell, None) == (Decimal(12), "EUR")


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("12", "it has no currency: write 19.99 EUR, or give --currency EUR"),
        ("", "no amount"),
        ("free", "no amount"),
        ("nan", "no amount"),
        ("-3 EUR", "below zero"),
        ("EUR -3", "below zero"),
        (f"{MINUS}3 EUR", "below zero"),
        ("(3.00) EUR", "below zero"),
        ("12 abc", "`abc` is no currency"),
        ("10% EUR", "`%` is no currency"),
        ("12 €/kg", "`kg` is no currency"),
        ("5 EUR 6 USD", "several currencies"),
        ("€ 5 USD", "several currencies"),
        ("19.99 29.99 EUR", "several amounts"),
        ("10 - 20 - 30 EUR", "several amounts"),
        ("1,234.567,8 EUR", "mixed"),
        ("99999999999999 EUR", "above"),
        ("1e999 EUR", "above"),
        ("1" * 200 + " EUR", "no amount"),
        ({"currency": "EUR"}, "without amount"),
        ({"amount": "1", "currency": "gold"}, "`gold` is no ISO 4217 code"),
        ({"amount": ["1"]}, "without amount"),
        ([], "list"),
        ([[]], "list"),
        ({"amount": {"amount": {}}}, "without an amount"),
    ],
)
def test_what_is_no_price_has_a_reason(cell: object, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        read_price(cell, None)


def test_an_ambiguous_symbol_is_the_default_currency_or_the_usual_one() -> None:
    assert read_price("$12", "CAD") == (Decimal(12), "CAD")
    assert read_price("$12", "EUR") == (Decimal(12), "USD")
    assert read_price("12 kr", "DKK") == (Decimal(12), "DKK")
    assert find_currency("Euro") == "EUR"
    assert find_currency("nothing") is None
    assert (decimals_of("JPY"), decimals_of("KWD"), decimals_of("EUR")) == (0, 3, 2)


def grouped(amount: Decimal, group: str, point: str) -> str:
    return f"{amount:,.2f}".replace(",", "\0").replace(".", point).replace("\0", group)


amounts = st.decimals(0, 10**9, places=2)
styles = st.sampled_from([(",", "."), (".", ","), (" ", ","), ("'", "."), (THIN, ","), ("", "."), ("", ",")])


@given(amount=amounts, style=styles, layout=st.sampled_from(["{} EUR", "EUR {}", "{}€", "€ {}", "{} eur"]))
def test_every_amount_is_read_in_every_style(amount: Decimal, style: tuple[str, str], layout: str) -> None:
    assert read_price(layout.format(grouped(amount, *style)), None) == (amount, "EUR")


@given(amount=st.floats(0, 10**6, width=32).map(lambda value: round(value, 2)))
def test_a_float_of_single_precision_is_read_as_the_price_that_it_was(amount: float) -> None:
    [single] = struct.unpack("f", struct.pack("f", amount))
    exact = Decimal(repr(single))
    assert abs(read_price(str(exact), "EUR")[0] - Decimal(str(amount))) <= Decimal(str(amount)) * Decimal(2) ** -23


@given(text=st.text(max_size=120) | st.from_regex(r"[0-9., '$€a-zE+-]{1,30}", fullmatch=True))
def test_no_text_breaks_the_reading(text: str) -> None:
    with suppress(ValueError):
        amount, code = read_price(text, "EUR")
        assert 0 <= amount <= 10**12
        assert len(code) == 3
        assert amount == amount.quantize(Decimal("0.0001"))
