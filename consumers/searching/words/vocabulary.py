"""Vocabulary: the values of a collection's own facts, by which the words of a search are understood."""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from re import split
from typing import Generic, TypeVar

from consumers.searching.words.lexicon import COLOUR_ATTRIBUTES, Lexicon, NamedColour
from consumers.searching.words.spelling import SpellingIndex
from consumers.searching.words.tokens import phrase_keys
from infra.qdrant.contract import FacetPlan, Index
from infra.qdrant.payload_indexes import WORDS

FIELDS = ("category", "brand", "attribute_values", "tags", "creator")
"""Fields whose values are words of searches; of a word with several, the first field decides its kind."""
MAX_TENANTS = 64
"""Tenants of which a worker holds the vocabulary: each has at most 1,000 values of each field, about 1 MB."""
MAX_AGE_SECONDS = 60.0
"""Age from which a vocabulary is read again: a new brand is understood after this time."""
SAMPLE_SIZE = 16
"""Items by which a vocabulary tells whether all have words, that is, none was indexed before searches by words."""

T = TypeVar("T")
FieldValues = dict[str, tuple[str, ...]]
"""FieldValues by field."""


@dataclass
class Vocabulary:
    """The values of the facts of one tenant's items, by the keys of their words."""

    values: dict[str, FieldValues] = field(default_factory=dict)
    heads: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Categories by the key of their last word: Track Pants and Night Pants by pant."""
    colours: dict[NamedColour, tuple[str, ...]] = field(default_factory=dict)
    """Attribute filters (name=value) by the colour that they name."""
    all_have_colours: bool = False
    """Whether the merchant gives the colour of every item, so that no picture needs to tell it."""
    currencies: tuple[str, ...] = ()
    """Currencies of the prices, the most frequent first."""
    all_have_words: bool = True
    """Whether all items of a sample have words in the index."""
    spelling: SpellingIndex = field(default_factory=SpellingIndex)

    def find(self, keys: Iterable[str]) -> FieldValues:
        """Return the values that a phrase with these keys names; empty if there is none."""
        return next((self.values[key] for key in keys if key in self.values), {})

    def find_categories(self, keys: Iterable[str]) -> tuple[str, ...]:
        """Return the categories whose last word has one of these keys."""
        return next((self.heads[key] for key in keys if key in self.heads), ())

    def colour_filters(self, colour: NamedColour) -> tuple[str, ...]:
        """Return the attribute filters of a shade; of all shades of its colour if no item has the shade."""
        exact = self.colours.get(colour, ())
        return exact or tuple(
            pair for found, pairs in self.colours.items() if found.name == colour.name for pair in pairs
        )

    def add(self, name: str, value: str) -> None:
        """Add a value of a field."""
        text = value.partition("=")[2] if name == "attribute_values" else value
        for phrase in dict.fromkeys((text, split(r"[>/|]", text)[-1])):
            for key in phrase_keys(phrase):
                found = self.values.setdefault(key, {})
                found[name] = tuple(dict.fromkeys((*found.get(name, ()), value)))
                self.spelling.add(key)
            if name == "category":
                self._add_heads(phrase, value)

    def _add_heads(self, phrase: str, category: str) -> None:
        for part in split(r"[&,/]| and | und ", phrase):
            for key in phrase_keys(part.split()[-1]) if part.split() else ():
                self.heads[key] = tuple(dict.fromkeys((*self.heads.get(key, ()), category)))

    def add_attribute(self, pair: str, lexicon: Lexicon) -> None:
        """Add an attribute (name=value): as colours if it is a colour that the lexicon knows, else as a value."""
        name, _, value = pair.partition("=")
        is_colour = bool(COLOUR_ATTRIBUTES.intersection(phrase_keys(name)))
        parts = split(r"[/,&+|]| and | und ", value) if is_colour else ()
        found = [lexicon.colours[key] for part in parts for key in phrase_keys(part)[:1] if key in lexicon.colours]
        for colour in found:
            self.colours[colour] = (*self.colours.get(colour, ()), pair)
        if not found:
            self.add("attribute_values", pair)


def read_vocabulary(index: Index, tenant: str, lexicon: Lexicon) -> Vocabulary:
    """Read the vocabulary of a tenant from the facets of its items. Raises Unavailable."""
    *counts, currencies, items = index.facets([FacetPlan(name, tenant) for name in (*FIELDS, "currency", "tenant")])
    vocabulary = Vocabulary(
        all_have_colours=_largest_colour_count(dict(zip(FIELDS, counts, strict=True))) >= items.get(tenant, 1),
        currencies=tuple(sorted(currencies, key=lambda code: -currencies[code])),
        all_have_words=_all_have_words(index, tenant),
    )
    for name, values in zip(FIELDS, counts, strict=True):
        for value in values:
            if name == "attribute_values":
                vocabulary.add_attribute(value, lexicon)
            else:
                vocabulary.add(name, value)
    return vocabulary


def _largest_colour_count(counts: Mapping[str, Mapping[str, int]]) -> int:
    """Return the number of items that have the most frequent colour attribute; items have one value of each."""
    totals: dict[str, int] = {}
    for pair, count in counts["attribute_values"].items():
        name = pair.partition("=")[0]
        totals[name] = totals.get(name, 0) + count
    return max(
        (count for name, count in totals.items() if COLOUR_ATTRIBUTES.intersection(phrase_keys(name))), default=0
    )


def _all_have_words(index: Index, tenant: str) -> bool:
    """Return whether all of a few items that have a category also have words."""
    ids = [id for id, payload in index.sample(tenant, SAMPLE_SIZE).items() if payload.get("category")]
    payloads: Mapping[str, Mapping[str, object]] = index.payloads(ids, [WORDS]) if ids else {}
    return all(payloads.get(id, {}).get(WORDS) for id in ids)


class TenantCache(Generic[T]):
    """What was read of tenants, as old as MAX_AGE_SECONDS at most. `now` is a monotonic clock in seconds."""

    def __init__(self, read: Callable[[str], T], now: Callable[[], float]) -> None:
        self._read = read
        self._now = now
        self._cached: OrderedDict[str, tuple[float, T]] = OrderedDict()

    def get(self, tenant: str) -> T:
        """Return what was read of a tenant; raises what the reader raises."""
        cached = self._cached.get(tenant)
        if cached is None or self._now() - cached[0] >= MAX_AGE_SECONDS:
            cached = self._cached[tenant] = self._now(), self._read(tenant)
        self._cached.move_to_end(tenant)
        while len(self._cached) > MAX_TENANTS:
            self._cached.popitem(last=False)
        return cached[1]


def count_matches(index: Index, tenant: str, plans: Sequence[FacetPlan]) -> list[int]:
    """Return the number of a tenant's points that pass each plan. Raises Unavailable."""
    return [counts.get(tenant, 0) for counts in index.facets(plans)] if plans else []
