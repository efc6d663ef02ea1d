"""Prices: read price bounds in the text of a search."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from consumers.searching.words.lexicon import Lexicon
from consumers.searching.words.tokens import DASHES, Token, keys_of
from infra.qdrant.conditions import Between

LONGEST_PHRASE = 3
ABOUT = 0.2
"""About 50 is 20 % less to 20 % more."""


class ItemPrice(NamedTuple):
    """A price in a currency."""

    amount: float
    currency: str


class PriceBounds(NamedTuple):
    """Price bounds in the text, and the number of their tokens."""

    bounds: Between
    currency: str
    length: int


class _Money(NamedTuple):
    amount: float
    currency: str | None
    length: int


@dataclass(frozen=True)
class PriceBoundsReader:
    """Reads price bounds. `currency` is that of amounts without one; None: the collection has no prices."""

    lexicon: Lexicon
    currency: str | None
    reference: ItemPrice | None = None
    """Price of the query's item, for `cheaper`."""

    def read(self, tokens: Sequence[Token], at: int) -> PriceBounds | None:
        """Return the price bounds that start at a token; None if there are none."""
        if self.currency is None:
            return None
        bounded = self._read_range(tokens, at) or self._read_bound(tokens, at)
        return bounded or self._read_comparison(tokens, at)

    def _read_range(self, tokens: Sequence[Token], at: int) -> PriceBounds | None:
        """Read `between 20 and 40`, `20 to 40 euros` or `20-40`."""
        start = self._phrase(tokens, at, "between")
        low = self._money(tokens, at + start)
        if low is None:
            return None
        joint = at + start + low.length
        step = 1 if joint < len(tokens) and tokens[joint].text in DASHES else self._phrase(tokens, joint, "range")
        high = self._money(tokens, joint + step) if step else None
        if high is None or high.amount < low.amount:
            return None
        currency = high.currency or low.currency or self.currency or ""
        return PriceBounds(
            Between("price", at_least=low.amount, at_most=high.amount), currency, joint + step + high.length - at
        )

    def _read_bound(self, tokens: Sequence[Token], at: int) -> PriceBounds | None:
        """Read `under 30`, `ab 20`, `about 50` or `30 euros`; `from 20` is a lower bound."""
        for kind in ("below", "above", "between", "about"):
            start = self._phrase(tokens, at, kind)
            money = self._money(tokens, at + start) if start else None
            if money is not None:
                currency = money.currency or self.currency or ""
                return PriceBounds(_bounds_of(kind, money.amount), currency, start + money.length)
        money = self._money(tokens, at)
        if money is None or money.currency is None:
            return None
        return PriceBounds(_bounds_of("about", money.amount), money.currency, money.length)

    def _read_comparison(self, tokens: Sequence[Token], at: int) -> PriceBounds | None:
        """Read `cheaper` or `dearer`, which compare with the price of the query's item."""
        if self.reference is None:
            return None
        amount, currency = self.reference
        if length := self._phrase(tokens, at, "cheaper"):
            return PriceBounds(Between("price", below=amount), currency, length)
        if length := self._phrase(tokens, at, "dearer"):
            return PriceBounds(Between("price", at_least=amount + 0.01), currency, length)
        return None

    def _phrase(self, tokens: Sequence[Token], at: int, kind: str) -> int:
        """Return the number of tokens of a phrase of this kind; 0 if there is none."""
        for length in range(min(LONGEST_PHRASE, len(tokens) - at), 0, -1):
            if keys_of([token.text for token in tokens[at : at + length]])[0] in self.lexicon.price[kind]:
                return length
        return 0

    def _money(self, tokens: Sequence[Token], at: int) -> _Money | None:
        """Read an amount, with a currency before or behind it or without one."""
        before = self._currency(tokens, at)
        number = at + (before is not None)
        if number >= len(tokens) or not tokens[number].is_number:
            return None
        behind = None if before else self._currency(tokens, number + 1)
        length = number + 1 - at + (behind is not None)
        return _Money(tokens[number].number, before or behind, length)

    def _currency(self, tokens: Sequence[Token], at: int) -> str | None:
        keys = keys_of([tokens[at].text]) if at < len(tokens) else ()
        return next((self.lexicon.currencies[key] for key in keys if key in self.lexicon.currencies), None)


def _bounds_of(kind: str, amount: float) -> Between:
    match kind:
        case "below":
            return Between("price", at_most=amount)
        case "about":
            return Between("price", at_least=amount * (1 - ABOUT), at_most=amount * (1 + ABOUT))
        case _:
            return Between("price", at_least=amount)
