"""Tokens: split the text of a search into words, numbers and signs, and make the keys that compare words."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from consumers.points.terms import fold, stem
from schemas.words import MOST_WORDS

TOKEN = re.compile(r"\d+(?:[.,]\d+)*|[^\W\d_]+(?:['\u2019][^\W\d_]+)?|[€$£¥₹]|[,;.!?:]|[-\u2013\u2014]")
APOSTROPHES = re.compile(r"['\u2019]")
PAUSES = frozenset(",;.!?:")
DASHES = frozenset("-\u2013\u2014")


@dataclass(frozen=True)
class Token:
    """A word, a number or a sign, with its place in the text."""

    text: str
    start: int
    end: int

    @property
    def is_number(self) -> bool:
        """Whether it is a number; superscript and circled digits are letters, as in TOKEN."""
        return self.text[0].isdecimal()

    @property
    def is_pause(self) -> bool:
        """Whether it is a mark that separates parts of a sentence."""
        return self.text in PAUSES

    @property
    def folded(self) -> str:
        """The word without case and accents."""
        return fold(self.text)

    @property
    def number(self) -> float:
        """The number: a last separator with one or two digits behind it is a decimal point. Raises ValueError."""
        whole, separator, part = self.text.replace(",", ".").rpartition(".")
        if separator and len(part) <= 2:
            return float(f"{whole.replace('.', '')}.{part}")
        return float(self.text.replace(",", "").replace(".", ""))


def tokenise(text: str) -> list[Token]:
    """Return the tokens of a text, at most MOST_WORDS; hyphens count only between numbers."""
    tokens = [Token(match.group(), match.start(), match.end()) for match in TOKEN.finditer(text)]
    return [
        token
        for at, token in enumerate(tokens)
        if token.text not in DASHES or (0 < at < len(tokens) - 1 and _joins_prices(tokens[at - 1], tokens[at + 1]))
    ][:MOST_WORDS]


def _joins_prices(left: Token, right: Token) -> bool:
    return (left.is_number or left.text in "€$£¥₹") and (right.is_number or right.text in "€$£¥₹")


def keys_of(words: Sequence[str]) -> tuple[str, ...]:
    """Return the keys of a phrase, the exact one first: t-shirts, T Shirts and tshirts have the key tshirt."""
    folded = [fold(word) for word in words]
    stems = [stem(word) for word in folded]
    whole = fold(APOSTROPHES.sub("", "".join(words)))
    return tuple(dict.fromkeys(("".join(folded), "".join(folded[:-1] + stems[-1:]), "".join(stems), whole)))


def phrase_keys(phrase: str) -> tuple[str, ...]:
    """Return the keys of a phrase of the lexicon or of the vocabulary; empty if it has no word."""
    words = [token.text for token in tokenise(phrase) if not token.is_pause and token.text not in DASHES]
    return keys_of(words) if words else ()
