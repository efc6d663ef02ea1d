"""Currencies: find the ISO 4217 code of a code, symbol or name, and how many decimals its prices have."""

import tomllib
from functools import cache
from pathlib import Path
from typing import NamedTuple

TABLE = Path(__file__).with_name("currencies.toml")


class CurrencyTable(NamedTuple):
    """The contents of currencies.toml."""

    codes: frozenset[str]
    decimals: dict[str, int]
    """Decimals of the prices of currencies that do not have two."""
    symbols: dict[str, list[str]]


def find_currency(word: str, default: str | None = None) -> str | None:
    """The code of a currency written as code, symbol or name; None if it is none.

    A symbol of several currencies is `default` if that is one of them, else the usual one: `$` is USD.
    """
    table, code = _table(), word.upper()
    if code in table.codes:
        return code
    meanings = table.symbols.get(word.casefold().rstrip("."), [])
    return default if default in meanings else next(iter(meanings), None)


def decimals_of(code: str) -> int:
    """How many decimals the prices of a currency are written with."""
    return _table().decimals.get(code, 2)


@cache
def _table() -> CurrencyTable:
    with TABLE.open("rb") as file:
        found = tomllib.load(file)
    decimals = dict.fromkeys(found["whole"].split(), 0) | dict.fromkeys(found["three_decimals"].split(), 3)
    symbols = {symbol: codes.split() for symbol, codes in found["symbols"].items()}
    return CurrencyTable(frozenset(found["codes"].split()), decimals, symbols)
