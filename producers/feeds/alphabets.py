"""Alphabets: how well the letters of a language explain a text, read from the tables of alphabets.toml."""

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from schemas.model import Model

APOSTROPHES = "\u2019\xb7\xa0\u2011"
"""Signs that can be inside words."""
FULL_WIDTH = ("\uff01", "\uff5e")
KANA, HANGUL, HANZI = ("\u3041", "\u30fe"), ("\uac00", "\ud7a3"), ("\u4e00", "\u9fff")
FIRST_GREEK = "\u0370"
"""The first letter that is not Latin."""


@dataclass(frozen=True)
class Alphabet:
    """The letters of a language in lower case, the most frequent first, and its encodings, the most usual first."""

    letters: str
    encodings: tuple[str, ...]
    final: str = ""
    """Letters that occur only at the end of words."""
    never_first: str = ""
    """Letters that begin no words."""
    is_western: bool = True
    """Whether its encodings are the most usual ones."""

    def prior(self, rank: int, letters: int) -> float:
        """The deduction from the score of its encoding of a rank, for so many letters."""
        priors, scale = read_priors(), 1 / math.sqrt(max(letters, 1))
        rare = 0.0 if self.is_western else priors["others"] + scale * priors["others_with_little_evidence"]
        return rare + rank * priors["rank"] + (rank > 0) * scale * priors["rank_with_little_evidence"]

    def case_prior(self, text: str) -> float:
        """The deduction for a text without capital letters in an alphabet that has them, Greek or Cyrillic."""
        has_capitals = self.letters[0] >= FIRST_GREEK and self.letters.upper() != self.letters
        return read_priors()["without_capitals"] if has_capitals and text == text.lower() else 0.0

    def weigh(self, text: str) -> float:
        """The score of a word for the language: up to about 1 for each letter outside of ASCII, or less than 0."""
        total, before = 0.0, ""
        for place, letter in enumerate(text):
            if letter > "\x7f":
                total += self._weigh_letter(letter, before, text[place + 1 : place + 2])
            before = letter
        return total

    def _weigh_letter(self, letter: str, before: str, after: str) -> float:
        is_within = before.isalpha() and after.isalpha()
        if letter in signs():
            return (0.9 if letter != APOSTROPHES[0] else 1.1) if not is_within or letter in APOSTROPHES else -0.5
        small = letter.lower()[:1]
        if small in self.final and before.isalpha() and not after.isalpha():
            return 1.1
        place = self.letters.find(small)
        is_latin = self.letters[0] < FIRST_GREEK
        if place < 0 or (not is_latin and (_is_ascii_letter(before) or _is_ascii_letter(after))):
            return -0.5
        if letter != small and before.isalpha() and before.islower():
            return -0.5  # no language has capital letters within words
        if small in self.never_first and not before.isalpha():
            return -0.5
        if not before.isalpha() and not after.isalpha():
            return 0.6 if letter == small else 0.3  # few letters outside of ASCII are words
        weight = 1.0 - (0.2 if is_latin else 0.6) * place / len(self.letters)
        return weight + 0.1 if letter == small else weight


@dataclass(frozen=True)
class CharacterSet:
    """The frequent characters of an Asian language."""

    frequent: frozenset[str]
    encodings: tuple[str, ...]
    standard: str
    """The encoding whose first rows hold the frequent characters."""
    last_row: int
    """First byte of the last of these rows."""
    has_kana: bool

    def weigh(self, text: str) -> float:
        """The score of the characters of a text for the language: up to about 1 for each, or less than 0."""
        total, before = 0.0, ""
        for place, letter in enumerate(text):
            if letter > "\x7f":
                after = text[place + 1 : place + 2]
                total += self._weigh_character(letter) - 0.5 * (_is_small(before) or _is_small(after))
            before = letter
        return total

    def _weigh_character(self, letter: str) -> float:
        if letter in self.frequent:
            return 1.1
        if letter in signs() or FULL_WIDTH[0] <= letter <= FULL_WIDTH[1]:
            return 0.9
        if KANA[0] <= letter <= KANA[1]:
            return 1.1 if self.has_kana else -0.5
        code = letter.encode(self.standard, "replace")
        if HANGUL[0] <= letter <= HANGUL[1]:
            return 0.9 if len(code) == 2 else -0.5  # EUC-KR has 8 bytes for the rare ones
        if HANZI[0] <= letter <= HANZI[1]:
            return -0.5 if len(code) < 2 else 0.8 if code[0] <= self.last_row else 0.2
        return -1.0


def _is_small(letter: str) -> bool:
    return letter.isascii() and letter.islower()


def _is_ascii_letter(letter: str) -> bool:
    return letter.isascii() and letter.isalpha()


class _Group(Model):
    """A table `alphabets` of the file."""

    languages: str
    encodings: str
    letters: str
    final: str = ""
    never_first: str = ""


class _Characters(Model):
    """A table `characters` of the file."""

    languages: str
    encodings: tuple[str, ...]
    standard: str
    last_row: int
    frequent: str
    has_kana: bool = False


class _Tables(Model):
    """The file."""

    signs: str
    priors: Mapping[str, float]
    encodings: Mapping[str, tuple[str, ...]]
    alphabets: tuple[_Group, ...]
    characters: tuple[_Characters, ...]


@cache
def _tables() -> _Tables:
    text = Path(__file__).with_suffix(".toml").read_text(encoding="utf-8")
    return _Tables.model_validate(tomllib.loads(text), strict=False)  # TOML has lists for tuples


def read_priors() -> Mapping[str, float]:
    """The deduction from the scores of rare encodings."""
    return _tables().priors


@cache
def signs() -> frozenset[str]:
    """Signs that all languages use."""
    return frozenset(_tables().signs)


@cache
def read_alphabets() -> tuple[Alphabet, ...]:
    """The alphabets of the languages with single-byte encodings."""
    tables = _tables()
    return tuple(
        Alphabet(
            group.letters,
            tables.encodings[group.encodings],
            group.final,
            group.never_first,
            group.encodings == "western",
        )
        for group in tables.alphabets
    )


@cache
def read_character_sets() -> tuple[CharacterSet, ...]:
    """The characters of the languages with multi-byte encodings."""
    return tuple(
        CharacterSet(frozenset(each.frequent), each.encodings, each.standard, each.last_row, each.has_kana)
        for each in _tables().characters
    )
