"""Currencies: find the ISO 4217 code of a code, symbol or name, and how many decimals its prices have."""

import tomllib
from collections.abc import Sequence
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
    comma: frozenset[str]
    """Currencies that are usually written with a decimal comma."""


def meanings_of(word: str) -> Sequence[str]:
    """The codes that a code, symbol or name may mean, the usual one first; empty if it is no currency."""
    table, code = _table(), word.upper()
    return [code] if code in table.codes else table.symbols.get(word.casefold().rstrip("."), [])


def find_currency(word: str, default: str | None = None) -> str | None:
    """The code of a currency written as code, symbol or name; None if it is none.

    A symbol of several currencies is `default` if that is one of them, else the usual one: `$` is USD.
    """
    meanings = meanings_of(word)
    return default if default in meanings else next(iter(meanings), None)


def is_written_with_comma(code: str) -> bool:
    """Whether a currency is usually written with a decimal comma, so that a point separates thousands."""
    return code in _table().comma


def decimals_of(code: str) -> int:
    """How many decimals the prices of a currency are written with."""
    return _table().decimals.get(code, 2)


@cache
def _table() -> CurrencyTable:
    with TABLE.open("rb") as file:
        found = tomllib.load(file)
    decimals = dict.fromkeys(found["whole"].split(), 0) | dict.fromkeys(found["three_decimals"].split(), 3)
    symbols = {symbol: codes.split() for symbol, codes in found["symbols"].items()}
    codes, comma = (frozenset(found[name].split()) for name in ("codes", "comma"))
    return CurrencyTable(codes, decimals, symbols, comma)
