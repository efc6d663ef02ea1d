"""Lexicon: the words that searches use in every shop, from a file for each language."""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, get_args

from consumers.searching.words.spelling import SpellingIndex, make_spelling
from consumers.searching.words.tokens import phrase_keys
from schemas.filters import ColourName

FOLDER = Path(__file__).parent
COLOUR_ATTRIBUTES = frozenset({"color", "colour", "basecolor", "basecolour", "maincolor", "maincolour", "farbe"})
"""Keys of the names of attributes in which merchants give the colour of an item."""


class NamedColour(NamedTuple):
    """A colour that a word names: one of the fourteen, and which shade of it."""

    name: ColourName
    shade: str
    """Key of the shade; that of the colour itself is its name."""


@dataclass(frozen=True)
class Lexicon:
    """The words of all languages, by their keys."""

    stop: frozenset[str]
    negations: frozenset[str]
    joiners: frozenset[str]
    price: Mapping[str, frozenset[str]]
    """Keys of each kind of price word: below, above, between, range, about, cheaper, dearer."""
    currencies: Mapping[str, str]
    colours: Mapping[str, NamedColour]
    patterns: Mapping[str, str]
    """The pattern that each word names."""
    concepts: Mapping[str, str]
    """The concept that each word names."""
    words_of: Mapping[str, tuple[str, ...]]
    """All words of each pattern and concept, in all languages."""
    spelling: SpellingIndex
    """The keys of colours, patterns and concepts."""

    def synonyms(self, keys: Iterable[str]) -> tuple[str, ...]:
        """Return the words for the same thing as one of these keys; empty if the lexicon has none."""
        names = (self.patterns.get(key) or self.concepts.get(key) for key in keys)
        return next((self.words_of[name] for name in names if name), ())


@dataclass
class _Reader:
    """Collects the tables of the languages."""

    sets: dict[str, set[str]] = field(default_factory=dict)
    colours: dict[str, NamedColour] = field(default_factory=dict)
    currencies: dict[str, str] = field(default_factory=dict)
    named: dict[str, dict[str, str]] = field(default_factory=lambda: {"patterns": {}, "concepts": {}})
    words: dict[str, list[str]] = field(default_factory=dict)

    def add(self, table: Mapping[str, Any]) -> None:
        """Add the words of a language."""
        endings = ("", *table.get("inflections", ()))
        lists = {name: table.get(name, ()) for name in ("stop", "negations", "joiners")} | table.get("price", {})
        for name, phrases in lists.items():
            self.sets.setdefault(name, set()).update(key for phrase in phrases for key in phrase_keys(phrase)[:1])
        for code, phrases in table.get("currencies", {}).items():
            self.currencies |= {key: code for phrase in phrases for key in phrase_keys(phrase)}
        self._add_colours(table, endings)
        for kind, named in self.named.items():
            for name, phrases in table.get(kind, {}).items():
                self.words.setdefault(name, []).extend(phrases)
                forms = _inflect(phrases, endings if kind == "patterns" else ("",))
                named.update({key: name for form in forms for key in phrase_keys(form)})

    def _add_colours(self, table: Mapping[str, Any], endings: Iterable[str]) -> None:
        """Add colours, their light and dark tones, and shades; a word that is there already keeps its meaning."""
        for name in get_args(ColourName):
            own, shades = table.get("colours", {}).get(name, ()), table.get("shades", {}).get(name, ())
            tones = [f"{modifier} {word}" for modifier in table.get("modifiers", ()) for word in own]
            for phrase, shade in [(word, name) for word in own] + [(word, word) for word in (*shades, *tones)]:
                for form in _inflect([phrase], endings):
                    for key in phrase_keys(form):
                        colour = NamedColour(name, shade if shade == name else phrase_keys(shade)[0])
                        is_tone = shade in tones
                        self.colours[key] = self.colours.get(key, colour) if is_tone else colour

    def finish(self) -> Lexicon:
        """Return the lexicon."""
        sets = {name: frozenset(keys) for name, keys in self.sets.items()}
        return Lexicon(
            stop=sets.pop("stop"),
            negations=sets.pop("negations"),
            joiners=sets.pop("joiners"),
            price=sets,
            currencies=self.currencies,
            colours=self.colours,
            patterns=self.named["patterns"],
            concepts=self.named["concepts"],
            words_of={name: tuple(dict.fromkeys(words)) for name, words in self.words.items()},
            spelling=make_spelling((*self.colours, *self.named["patterns"], *self.named["concepts"])),
        )


def _inflect(phrases: Iterable[str], endings: Iterable[str]) -> list[str]:
    return [phrase + ending for ending in endings for phrase in phrases]


@cache
def read_lexicon(folder: Path = FOLDER) -> Lexicon:
    """Read the languages of a folder, each a TOML file. Raises ValueError if a file is not TOML."""
    reader = _Reader()
    for path in sorted(folder.glob("*.toml")):
        reader.add(tomllib.loads(path.read_bytes().decode()))
    return reader.finish()
