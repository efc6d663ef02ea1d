"""Word parser: find out what each word of a search's text means, by the lexicon and the collection's vocabulary."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from consumers.points.terms import fold, stem, terms_of
from consumers.searching.words.lexicon import Lexicon
from consumers.searching.words.meanings import (
    Meaning,
    colour_meaning,
    pattern_meaning,
    price_meaning,
    unknown_meaning,
    value_meaning,
    word_meaning,
)
from consumers.searching.words.prices import PriceBoundsReader
from consumers.searching.words.tokens import DASHES, Token, keys_of, phrase_keys, tokenise
from consumers.searching.words.vocabulary import FieldValues, Vocabulary

LONGEST_PHRASE = 4
"""Most words of a phrase that stand for one thing."""
SHORTEST_PART = 4
"""Fewest letters of a part of a compound: lederjacke is leder and jacke."""
LINKS = ("", "s", "n", "en")
"""Letters between the parts of a German compound."""
MOST_SYNONYM_VALUES = 3
"""A word that names more values than this is ranked by itself, not by theirs."""


@dataclass(frozen=True)
class WordParser:
    """Parses texts for one collection. `left_out` and `plain` are keys of words that the request overrules."""

    lexicon: Lexicon
    vocabulary: Vocabulary
    prices: PriceBoundsReader
    left_out: frozenset[str] = frozenset()
    plain: frozenset[str] = frozenset()

    def parse(self, text: str) -> tuple[Meaning, ...]:
        """Return the meanings of a text in their order; those that are not checked are still to be counted."""
        reading = _Reading(self, text, tokenise(text))
        return tuple(_choose(list(reading.meanings())))

    def correct(self, meaning: Meaning) -> Meaning:
        """Return what a word that no item has means with one letter changed, or as a compound of two words."""
        text = meaning.understood.text
        for word in (*self.vocabulary.spelling.correct(fold(text)), *self.lexicon.spelling.correct(fold(text))):
            found = self.resolve([word], text)
            if found is not None and found.is_checked:
                return found.update(corrected=word, negated=meaning.understood.negated)
        return unknown_meaning(text).update(negated=meaning.understood.negated)

    def split(self, text: str) -> tuple[Meaning, Meaning] | None:
        """Return the meanings of both parts of a compound; None if it is none."""
        for at in range(SHORTEST_PART, len(text) - SHORTEST_PART + 1):
            right = self.resolve([text[at:]], text[at:])
            for link in LINKS if right is not None and right.is_checked else ():
                part = text[:at].removesuffix(link) if text[:at].endswith(link) else ""
                left = self.resolve([part], text[:at]) if len(part) >= SHORTEST_PART else None
                if left is not None and left.is_checked and right is not None:
                    return left, right
        return None

    def resolve(self, words: Sequence[str], text: str) -> Meaning | None:
        """Return what a phrase means; None if neither the lexicon nor the vocabulary has it."""
        keys = keys_of(words)
        terms = tuple(stem(fold(word)) for word in words)
        found, colour = (
            self.vocabulary.find(keys),
            next((self.lexicon.colours[key] for key in keys if key in self.lexicon.colours), None),
        )
        if colour is not None:
            alternative = value_meaning(text, found, terms) if "category" in found else None
            return replace(colour_meaning(text, colour, self.vocabulary, terms), alternative=alternative)
        synonyms = self.lexicon.synonyms(keys)
        if pattern := next((key for key in keys if key in self.lexicon.patterns), None):
            return self._pattern(self.lexicon.patterns[pattern], text, found or self._find_synonym(synonyms))
        if values := found or self._find_synonym(synonyms) or self._find_head(keys, synonyms):
            names = [name for name in next(iter(values.values())) if not found][:MOST_SYNONYM_VALUES]
            return value_meaning(text, values, tuple(dict.fromkeys((*terms, *_terms(names)))))
        return None

    def _pattern(self, name: str, text: str, values: FieldValues) -> Meaning:
        words = [term for word in self.lexicon.words_of[name] if len(term := terms_of(word)) == 1]
        return pattern_meaning(text, tuple(dict.fromkeys(word for term in words for word in term)), values)

    def _find_synonym(self, synonyms: Iterable[str]) -> FieldValues:
        return next((found for word in synonyms if (found := self.vocabulary.find(phrase_keys(word)))), {})

    def _find_head(self, keys: Iterable[str], synonyms: Iterable[str]) -> FieldValues:
        """Return the categories that end with this word, or with a synonym."""
        candidates = (keys, *(phrase_keys(word) for word in synonyms))
        found = next((values for each in candidates if (values := self.vocabulary.find_categories(each))), ())
        return {"category": found} if found else {}


def _terms(names: Iterable[str]) -> list[str]:
    return [term for name in names for term in terms_of(name.rpartition("=")[2])]


def _choose(meanings: list[Meaning]) -> list[Meaning]:
    """Decide whether a word that is a colour and a category is the one or the other: orange, beside no category."""
    has_category = any(each.understood.kind == "category" for each in meanings)
    return [
        each.alternative.update(negated=each.understood.negated) if each.alternative and not has_category else each
        for each in meanings
    ]


@dataclass
class _Reading:
    """The state while the tokens of a text are read from left to right."""

    parser: WordParser
    text: str
    tokens: Sequence[Token]
    at: int = 0
    negated: bool = False

    def meanings(self) -> Iterator[Meaning]:
        """Yield the meanings in their order."""
        while self.at < len(self.tokens):
            if (meaning := self._read_overruled() or self._read_price()) or (
                not self._read_function_word() and (meaning := self._read_phrase())
            ):
                yield meaning

    def _read_overruled(self) -> Meaning | None:
        """Read words that the request leaves out, or matches as they are."""
        for length, keys, text in self._windows():
            if self.parser.left_out.intersection(keys):
                return self._finish(length, unknown_meaning(text).update(dropped=True, reason="ignored"))
            if self.parser.plain.intersection(keys):
                return self._finish(length, replace(word_meaning(text, tuple(terms_of(text))), is_plain=True))
        return None

    def _read_price(self) -> Meaning | None:
        found = self.parser.prices.read(self.tokens, self.at)
        if found is None:
            return None
        text = self._text(found.length)
        return self._finish(found.length, price_meaning(text, found.bounds, found.currency))

    def _read_function_word(self) -> bool:
        """Skip a mark, a negation or a word without a meaning; return whether there was one."""
        lexicon, token = self.parser.lexicon, self.tokens[self.at]
        if token.is_pause or token.text in DASHES:
            self.negated = False
        elif keys_of([token.text])[0] in lexicon.negations:
            self.negated = True
        elif token.folded not in lexicon.stop | lexicon.joiners or self._is_phrase():
            return False
        self.at += 1
        return True

    def _is_phrase(self) -> bool:
        """Return whether a longer phrase of the vocabulary starts here, as Something Blue."""
        return any(length > 1 and self.parser.vocabulary.find(keys) for length, keys, _ in self._windows())

    def _read_phrase(self) -> Meaning | None:
        """Read the longest phrase that has a meaning; a single word that has none may be in the texts of items."""
        for length, _, text in self._windows():
            words = [token.text for token in self.tokens[self.at : self.at + length]]
            ends = (fold(words[0]), fold(words[-1]))
            if length > 1 and not self.parser.lexicon.stop.isdisjoint(ends) and not self._is_phrase():
                continue
            if (meaning := self.parser.resolve(words, text)) is not None:
                return self._finish(length, meaning)
        text = self._text(1)
        return self._finish(1, word_meaning(text, tuple(terms_of(text)) or (fold(text),)))

    def _finish(self, length: int, meaning: Meaning) -> Meaning:
        """Step over the words of a meaning. A negation holds for it, and behind `or` for the next one too."""
        negated = self.negated
        self.at += length
        following = self.tokens[self.at].folded if self.at < len(self.tokens) else ""
        self.negated = negated and following in self.parser.lexicon.joiners
        return _negate(meaning) if negated else meaning

    def _windows(self) -> Iterator[tuple[int, tuple[str, ...], str]]:
        """Yield length, keys and text of the phrases that start here, the longest first."""
        longest = next(
            (n for n, token in enumerate(self.tokens[self.at : self.at + LONGEST_PHRASE]) if token.is_pause),
            min(LONGEST_PHRASE, len(self.tokens) - self.at),
        )
        for length in range(longest, 0, -1):
            words = [token.text for token in self.tokens[self.at : self.at + length]]
            yield length, keys_of(words), self._text(length)

    def _text(self, length: int) -> str:
        return self.text[self.tokens[self.at].start : self.tokens[self.at + length - 1].end]


def _negate(meaning: Meaning) -> Meaning:
    alternative = None if meaning.alternative is None else _negate(meaning.alternative)
    return replace(meaning.update(negated=True), alternative=alternative)
