"""Meanings: what the words of a search stand for, as conditions and preferences of hits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from consumers.searching.words.lexicon import NamedColour
from consumers.searching.words.vocabulary import FieldValues, Vocabulary
from infra.array_types import Floats
from infra.qdrant.colour_cells import filter_shades
from infra.qdrant.condition_eval import Predicate, compile_condition
from infra.qdrant.conditions import AnyOf, Between, Condition, HasWord, NoneOf, OneOf
from infra.qdrant.contract import Payload
from infra.qdrant.payload_indexes import WORDS
from schemas.words import UnderstoodWord, WordKind

Groups = tuple[tuple[Condition, ...], ...]
"""Alternatives: a hit must satisfy all conditions of one of them."""
MOST_VALUES = 10
"""Values that an answer names, of a word that has more."""
KIND_OF: Mapping[str, WordKind] = {
    "category": "category", "brand": "brand", "attribute_values": "attribute", "tags": "tag", "creator": "creator",
}  # fmt: skip
DROP_ORDER: Sequence[WordKind] = (
    "word", "tag", "creator", "attribute", "pattern", "brand", "price", "colour", "category",
)  # fmt: skip
"""Kinds in the order in which they are dropped when nothing is left; negations come last."""
EFFECTIVE = frozenset(DROP_ORDER)


@dataclass(frozen=True, eq=False)
class TextMeaning:
    """What a text tower says of a text: with a look [size], `vector` gives how well its picture fits the text.

    Beside a look of the search, it is on the scale of that look's scores, from `least`.
    """

    vector: Floats
    least: float = 0.0
    """The least of the pictures by which the scale was measured; they and those below gain nothing."""

    def boost(self, look: Floats) -> float:
        """Return what the text adds to the score of a picture with this look, 0 or more."""
        return max(0.0, float(look @ self.vector) - self.least)

    @property
    def largest(self) -> float:
        """Bound of what the text adds to a score in the index."""
        return float(np.linalg.norm(self.vector))


@dataclass(frozen=True)
class Meaning:
    """What one or more neighbouring words of a text stand for."""

    understood: UnderstoodWord
    groups: Groups = ()
    """A hit satisfies one of them, or none if the words are negated."""
    terms: tuple[str, ...] = ()
    """Words by which hits are ranked."""
    alternative: "Meaning | None" = None
    """Other meaning, of a colour that is a category too: orange."""
    is_checked: bool = True
    """Whether the collection has it; otherwise that is to be counted."""
    is_required: bool = True
    """Whether hits must satisfy it; not for words that only rank."""
    is_plain: bool = False
    """Whether the request says that it is only matched to the texts of items."""

    @property
    def is_active(self) -> bool:
        """Whether hits are filtered by it."""
        return self.is_required and self.understood.kind in EFFECTIVE and not self.understood.dropped

    @property
    def condition(self) -> Condition:
        """The condition of hits."""
        return NoneOf(self.groups) if self.understood.negated else OneOf(self.groups)

    @property
    def slot(self) -> object:
        """What the meaning says something about: meanings with an equal slot are alternatives."""
        word = self.understood
        if word.negated or word.kind not in ("category", "colour", "brand", "creator", "attribute"):
            return self
        return word.kind, word.values[0].partition("=")[0] if word.kind == "attribute" else ""

    @property
    def rank(self) -> tuple[bool, int]:
        """Position in the order in which meanings are dropped."""
        return self.understood.negated, DROP_ORDER.index(self.understood.kind)

    def update(self, **changes: object) -> "Meaning":
        """Return a copy in which these fields of the answer are changed."""
        return replace(self, understood=self.understood.model_copy(update=changes))


@dataclass(frozen=True)
class ParsedText:
    """The meanings of a text in their order, and the facts of the query's item that hits should share."""

    meanings: tuple[Meaning, ...] = ()
    preferences: tuple[tuple[Condition, float], ...] = ()
    """Conditions that add to the score of hits, and how much."""

    @property
    def active(self) -> tuple[Meaning, ...]:
        """The meanings by which hits are filtered."""
        return tuple(meaning for meaning in self.meanings if meaning.is_active)

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """The conditions of hits. Of several values of one field, as of two colours, hits have at least one."""
        alternatives: dict[object, list[Meaning]] = {}
        for meaning in self.active:
            alternatives.setdefault(meaning.slot, []).append(meaning)
        return tuple(
            each[0].condition if len(each) == 1 else OneOf(tuple(group for one in each for group in one.groups))
            for each in alternatives.values()
        )

    @property
    def text(self) -> str:
        """The words by which hits are ranked, separated by blanks."""
        found = (meaning for meaning in self.meanings if not meaning.understood.negated)
        return " ".join(dict.fromkeys(term for meaning in found for term in meaning.terms))

    @property
    def description(self) -> str:
        """The words that say what hits are, for a text tower: without negations, which towers do not understand.

        Prices are left out, as no picture has them. The order of words hardly matters to such towers (M.
        Yuksekgonul et al., When and why vision-language models behave like bags-of-words, 2023).
        """
        words = (each.understood for each in self.meanings if not each.is_plain)
        named = (each for each in words if not each.negated and each.kind != "price" and each.reason != "ignored")
        return " ".join(each.corrected or each.text for each in named)

    @property
    def has_rest(self) -> bool:
        """Whether a word is left that was not understood, and that is neither negated nor left out."""
        return any(_is_rest(each.understood) for each in self.meanings)

    def match_by_meaning(self, *, is_alone: bool) -> "ParsedText":
        """Return a copy in which a text tower reads the words that were not understood.

        Without a look (`is_alone`), words of the texts of items rank the hits, but filter no more: pictures may
        have the thing without the word.
        """
        meanings = (
            each.update(kind="meaning", reason=None) if _is_rest(each.understood) else each
            for each in self.meanings
        )
        return replace(
            self,
            meanings=tuple(
                replace(each, is_required=False) if is_alone and _is_optional(each) else each for each in meanings
            ),
        )

    @property
    def understood(self) -> tuple[UnderstoodWord, ...]:
        """How each word was understood."""
        return tuple(meaning.understood for meaning in self.meanings)

    def names(self, kind: WordKind) -> bool:
        """Return whether hits are filtered by something of this kind that they must have."""
        return any(each.understood.kind == kind and not each.understood.negated for each in self.active)

    @cached_property
    def _predicates(self) -> list[tuple[Predicate, float]]:
        return [(compile_condition(condition), weight) for condition, weight in self.preferences]

    def boost(self, payload: Payload) -> float:
        """Return what the preferences add to the score of a hit with this payload."""
        return sum(weight for is_satisfied, weight in self._predicates if is_satisfied(payload))

    def drop(self, dropped: Sequence[Meaning], weight: float) -> "ParsedText":
        """Return a copy that prefers what these meanings say instead of filtering by it."""
        meanings = tuple(
            each.update(dropped=True, reason="too_few_hits") if each in dropped else each for each in self.meanings
        )
        return ParsedText(meanings, (*self.preferences, *((each.condition, weight) for each in dropped)))


NO_WORDS = ParsedText()


def _is_optional(meaning: Meaning) -> bool:
    """Whether a text tower and the words of items may both have found what the words say."""
    return meaning.understood.kind == "word" and not meaning.understood.negated and not meaning.is_plain


def _is_rest(word: UnderstoodWord) -> bool:
    return word.kind == "unknown" and not word.negated and word.reason != "ignored"


def value_meaning(text: str, values: FieldValues, terms: tuple[str, ...]) -> Meaning:
    """Return the meaning of words that are values of facts; of several fields, any counts."""
    field = next(iter(values))
    groups: Groups = tuple((AnyOf(name, found),) for name, found in values.items())
    if field in ("category", "brand"):  # a shop names its tags and attributes after other things
        groups = groups[:1]
    understood = UnderstoodWord(text=text, kind=KIND_OF[field], field=field, values=values[field][:MOST_VALUES])
    return Meaning(understood, groups, terms)


def colour_meaning(text: str, colour: NamedColour, vocabulary: Vocabulary, terms: tuple[str, ...]) -> Meaning:
    """Return the meaning of a colour: the one that the merchant gives, or without it those of the picture."""
    pairs = vocabulary.colour_filters(colour)
    every = tuple(pair for found in vocabulary.colours.values() for pair in found)
    pictured: tuple[Condition, ...] = (AnyOf("shades", filter_shades([colour.name])),)
    groups: Groups = (pictured,)
    if every:
        groups = ((NoneOf(((AnyOf("attribute_values", every),),)), *pictured),)
    if pairs:
        named: Groups = ((AnyOf("attribute_values", pairs),),)
        groups = named if vocabulary.all_have_colours else (*named, *groups)
    return Meaning(UnderstoodWord(text=text, kind="colour", field="colours", values=(colour.name,)), groups, terms)


def pattern_meaning(text: str, words: tuple[str, ...], values: FieldValues) -> Meaning:
    """Return the meaning of a pattern: as a tag or an attribute, or as one of its words in the texts of items."""
    groups: Groups = tuple((AnyOf(name, found),) for name, found in values.items())
    groups += ((HasWord(WORDS, words),),)
    understood = UnderstoodWord(text=text, kind="pattern", field=next(iter(values), None), values=words)
    return Meaning(understood, groups, words, is_checked=bool(values))


def price_meaning(text: str, bounds: Between, currency: str) -> Meaning:
    """Return the meaning of price bounds."""
    low, high = bounds.at_least, bounds.at_most if bounds.below is None else bounds.below
    display = f"{'' if low is None else f'{low:g}'}..{'' if high is None else f'{high:g}'} {currency}"
    understood = UnderstoodWord(text=text, kind="price", field="price", values=(display,))
    return Meaning(understood, ((bounds, AnyOf("currency", (currency,))),))


def word_meaning(text: str, terms: tuple[str, ...]) -> Meaning:
    """Return the meaning of a word that is matched to the texts of items; whether any has it is to be counted."""
    understood = UnderstoodWord(text=text, kind="word", values=terms)
    return Meaning(understood, ((HasWord(WORDS, terms),),), terms, is_checked=False)


def unknown_meaning(text: str) -> Meaning:
    """Return the meaning of a word that was not understood."""
    return Meaning(UnderstoodWord(text=text, kind="unknown"))
