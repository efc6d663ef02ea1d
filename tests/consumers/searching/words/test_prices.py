"""Price bounds in texts."""

import pytest

from consumers.searching.words.lexicon import read_lexicon
from consumers.searching.words.prices import ItemPrice, PriceBoundsReader
from consumers.searching.words.tokens import tokenise
from infra.qdrant.conditions import Between

LEXICON = read_lexicon()
EUROS = PriceBoundsReader(LEXICON, "EUR", ItemPrice(30.0, "EUR"))


@pytest.mark.parametrize(
    ("text", "low", "high", "currency"),
    [
        ("under 30", None, 30, "EUR"),
        ("less than $25.50", None, 25.5, "USD"),
        ("bis 1.299,90 €", None, 1299.9, "EUR"),
        ("cheaper than 20", None, 20, "EUR"),
        ("ab 20", 20, None, "EUR"),
        ("from 20", 20, None, "EUR"),
        ("mindestens 15 Euro", 15, None, "EUR"),
        ("20 to 40 euros", 20, 40, "EUR"),
        ("20-40€", 20, 40, "EUR"),
        ("£5 - £10", 5, 10, "GBP"),
        ("zwischen 10 und 20 Euro", 10, 20, "EUR"),
        ("from 10 to 20", 10, 20, "EUR"),
        ("about 50", 40, 60, "EUR"),
        ("30 euros", 24, 36, "EUR"),
        ("no more than 1,000", None, 1000, "EUR"),
    ],
)
def test_bounds_are_read(text: str, low: float | None, high: float | None, currency: str) -> None:
    tokens = tokenise(text)
    found = EUROS.read(tokens, 0)
    assert found is not None
    assert (found.bounds.at_least, found.bounds.at_most, found.currency) == (low, high, currency)
    assert found.length == len(tokens)


@pytest.mark.parametrize(
    "text", ["30", "size 42", "under the table", "40 to 20", "20 to", "euros", "to 20", "under \u00b2"]
)
def test_other_numbers_are_no_prices(text: str) -> None:
    assert EUROS.read(tokenise(text), 0) is None


def test_a_comparison_needs_an_item_with_a_price() -> None:
    cheaper = EUROS.read(tokenise("billiger"), 0)
    assert cheaper is not None
    assert cheaper.bounds == Between("price", below=30.0)
    dearer = EUROS.read(tokenise("more expensive"), 0)
    assert dearer is not None
    assert dearer.bounds.at_least == 30.01
    assert PriceBoundsReader(LEXICON, "EUR").read(tokenise("cheaper"), 0) is None


def test_a_collection_without_prices_has_no_bounds() -> None:
    assert PriceBoundsReader(LEXICON, None).read(tokenise("under 30"), 0) is None
