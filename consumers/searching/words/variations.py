"""Variations: how the neighbours of an item differ from it, in words that ask for it: more like this, but red."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from re import split
from typing import get_args

from consumers.points.payload import strings_in
from consumers.searching.query_state import QueryState
from consumers.searching.words.lexicon import Lexicon
from consumers.searching.words.meanings import Meaning
from consumers.searching.words.vocabulary import Vocabulary
from consumers.searching.words.word_parser import WordParser
from infra.qdrant.condition_eval import compile_condition
from infra.qdrant.payload_indexes import WORDS
from schemas.filters import ColourName
from schemas.words import LONGEST_TEXT, Variation, VariationKind

MOST: Mapping[VariationKind, int] = {"colour": 4, "price": 2, "pattern": 4, "category": 3, "brand": 3}
"""Variations of each kind, the kinds in their order in a result."""
COMPARISONS = ("cheaper", "more expensive")
CHEAP_SHARE = 0.25
"""Share of the neighbours that cost less than the bound of an item without a price."""
NEGATION = "not "


@dataclass(frozen=True)
class VariationFinder:
    """Finds the variations of one search by an item."""

    parser: WordParser
    search: QueryState
    """With its item, its neighbours, and the words that are in effect already."""

    def find(self) -> tuple[Variation, ...]:
        """Return the variations: by kind in the order of MOST, of each kind the most frequent first.

        Each is in words that the reader of texts understands as meant; facts that it cannot read so are left out. A
        kind that the text names already is left out too: two colours would be alternatives.
        """
        phrases: dict[VariationKind, Iterable[str]] = {
            "colour": self._colours(),
            "price": self._prices(),
            "pattern": self._patterns(),
            "category": self._values("category"),
            "brand": self._values("brand"),
        }
        return tuple(
            variation
            for kind, most in MOST.items()
            if not any(each.understood.kind == kind for each in self.search.words.active)
            for variation in self._count(kind, list(phrases[kind])[:most])
        )

    def _count(self, kind: VariationKind, phrases: Sequence[str]) -> list[Variation]:
        """Return the variations that the phrases name, if a neighbour differs from the item by them."""
        found = [self._variation(kind, phrase) for phrase in phrases]
        return sorted((each for each in found if each is not None), key=lambda each: -each.count)

    def _variation(self, kind: VariationKind, phrase: str) -> Variation | None:
        text = ", ".join(filter(None, (self.search.request.text, phrase)))
        meaning = self._read(kind, phrase)
        if meaning is None or len(text) > LONGEST_TEXT:
            return None
        has_fact = compile_condition(meaning.condition)
        if has_fact(self.search.item):
            return None
        count = sum(map(has_fact, self.search.neighbours))
        value = meaning.understood.values[0] if kind == "price" else phrase.removeprefix(NEGATION)
        negated = meaning.understood.negated
        return Variation(kind=kind, value=value, negated=negated, text=text, count=count) if count else None

    def _read(self, kind: VariationKind, phrase: str) -> Meaning | None:
        """Return the meaning of a phrase; None if it is not a single one of this kind."""
        meanings = self.parser.parse(phrase)
        return meanings[0] if [each.understood.kind for each in meanings] == [kind] else None

    def _colours(self) -> list[str]:
        """Return the colours of the neighbours: those that the merchant gives, or without them of the picture."""
        given = _colours_of_pairs(self.parser.vocabulary)
        counts = Counter[str]()
        for neighbour in self.search.neighbours:
            names = {name for pair in strings_in(neighbour, "attribute_values") for name in given.get(pair, ())}
            counts.update(names or strings_in(neighbour, "colours"))
        return [name for name, _ in counts.most_common() if name in get_args(ColourName)]

    def _patterns(self) -> list[str]:
        """Return the patterns of the neighbours, and a negation for each pattern of the item."""
        lexicon = self.parser.lexicon
        own = set(str(self.search.item.get(WORDS, "")).split())
        counts = Counter(word for each in self.search.neighbours for word in set(str(each.get(WORDS, "")).split()))
        names = Counter(
            {name: sum(counts[word] for word in words) for name, words in _pattern_words(lexicon).items()}
        )
        without = [f"{NEGATION}{name}" for name, words in _pattern_words(lexicon).items() if own & words]
        return without + [name for name, count in names.most_common() if count]

    def _prices(self) -> list[str]:
        """Return comparisons with the price of the item; without one, a bound that the cheapest neighbours meet."""
        if "price" in self.search.item:
            return list(COMPARISONS)
        currency = self.parser.prices.currency
        prices = sorted(
            price
            for each in self.search.neighbours
            if isinstance(price := each.get("price"), int | float) and each.get("currency") == currency
        )
        return [f"under {round(prices[int(CHEAP_SHARE * len(prices))])} {currency}"] if prices else []

    def _values(self, field: VariationKind) -> list[str]:
        """Return the values that neighbours have; of a path such as Shoes > Boots its last part."""
        counts = Counter(str(value) for each in self.search.neighbours if (value := each.get(field)))
        own = self.search.item.get(field)
        return [split(r"[>/|]", value)[-1].strip() for value, _ in counts.most_common() if value != own]


def _colours_of_pairs(vocabulary: Vocabulary) -> Mapping[str, set[str]]:
    """Return the names of the colours that each attribute (name=value) of the merchant gives."""
    names: dict[str, set[str]] = {}
    for colour, pairs in vocabulary.colours.items():
        for pair in pairs:
            names.setdefault(pair, set()).add(colour.name)
    return names


def _pattern_words(lexicon: Lexicon) -> Mapping[str, set[str]]:
    """Return the keys of the words of each pattern."""
    words: dict[str, set[str]] = {}
    for key, name in lexicon.patterns.items():
        words.setdefault(name, set()).add(key)
    return words
