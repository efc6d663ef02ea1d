"""Text reader: understand the texts of searches by the vocabularies of their collections."""

from collections.abc import Callable, Sequence
from functools import partial

from consumers.embedding.moderation import ModerationPolicy
from consumers.searching.query_state import QueryState
from consumers.searching.search_plans import NEIGHBOUR_KEYS
from consumers.searching.words.lexicon import COLOUR_ATTRIBUTES, read_lexicon
from consumers.searching.words.meanings import Meaning, ParsedText, unknown_meaning
from consumers.searching.words.prices import ItemPrice, PriceBoundsReader
from consumers.searching.words.tokens import phrase_keys
from consumers.searching.words.variations import VariationFinder
from consumers.searching.words.vocabulary import TenantCache, count_matches, read_vocabulary
from consumers.searching.words.word_parser import WordParser
from infra.qdrant.conditions import AnyOf, Condition
from infra.qdrant.contract import FacetPlan, Index, Payload
from infra.qdrant.point_ids import point_id
from schemas.searches import SearchRequest
from schemas.words import Variation

CATEGORY_WEIGHT, ATTRIBUTE_WEIGHT = 0.2, 0.1
"""What the score of a hit gains by the category, and by each attribute, that it shares with the query's item: a
change of one fact leaves the others. Scores of one kind of thing differ by about 0.3."""
DROPPED_WEIGHT = 0.05
"""What a meaning that is not filtered by adds to the score of a hit that has it."""


class TextReader:
    """Sets the words of searches. `now` is a monotonic clock in seconds."""

    def __init__(self, index: Index, policy: ModerationPolicy, now: Callable[[], float]) -> None:
        self._index = index
        self._policy = policy
        self._lexicon = read_lexicon()
        self._vocabularies = TenantCache(partial(read_vocabulary, index, lexicon=self._lexicon), now)

    def read(self, searches: Sequence[QueryState]) -> None:
        """Understand the text of each search that has one. Raises Unavailable when the index is unreachable."""
        self._load_items([s for s in searches if s.request.text is not None or s.request.variations])
        for search in searches:
            if search.request.text is not None:
                meanings = self._understand(search)
                search.set_words(ParsedText(meanings, tuple(_preferences(search.item, meanings))))

    def vary(self, search: QueryState) -> tuple[Variation, ...]:
        """Return the variations of a search by an item, if its request asks for them. Raises Unavailable."""
        return VariationFinder(self._parser(search), search).find() if search.request.variations else ()

    def _load_items(self, searches: Sequence[QueryState]) -> None:
        """Set the facts of the items that these searches name."""
        by_item = [search for search in searches if search.request.item_id is not None]
        ids = list({_item_id(search) for search in by_item})
        items = self._index.payloads(ids, NEIGHBOUR_KEYS) if ids else {}
        for search in by_item:
            search.set_item(items.get(_item_id(search), {}))

    def relax(self, search: QueryState) -> bool:
        """Drop the fewest and least important meanings by which something is left; return whether that helps."""
        parsed = search.words
        order = sorted(parsed.active, key=lambda each: each.rank)
        drops = [[], *([each] for each in order), *(order[:count] for count in range(2, len(order) + 1))]
        plans = [self._plan(search.request, parsed.drop(each, 0).conditions) for each in drops]
        counts = count_matches(self._index, search.request.tenant, plans)
        found = next((drop for drop, count in zip(drops, counts, strict=True) if count), [])
        if found:
            search.set_words(parsed.drop(found, DROPPED_WEIGHT))
        return bool(found)

    def _parser(self, search: QueryState) -> WordParser:
        request, vocabulary = search.request, self._vocabularies.get(search.request.tenant)
        currency = next(iter(vocabulary.currencies), None)
        return WordParser(
            self._lexicon,
            vocabulary,
            PriceBoundsReader(self._lexicon, currency, _price_of(search.item)),
            _keys(request.ignore_words),
            _keys(request.plain_words),
        )

    def _understand(self, search: QueryState) -> tuple[Meaning, ...]:
        request, parser = search.request, self._parser(search)
        meanings = parser.parse(request.text or "")
        unchecked = [meaning for meaning in meanings if not meaning.is_checked]
        plans = [FacetPlan("tenant", request.tenant, extra_conditions=each.groups[-1]) for each in unchecked]
        counts = dict(zip(map(id, unchecked), count_matches(self._index, request.tenant, plans), strict=True))
        found: list[Meaning] = []
        for meaning in meanings:
            if counts.get(id(meaning), 1):
                found.append(meaning)
            else:
                found += self._explain(parser, meaning)
        return tuple(found)

    def _explain(self, parser: WordParser, meaning: Meaning) -> Sequence[Meaning]:
        """Return what a word that no item has means: a compound, a word with a typo, or nothing; nothing if the
        request says that it is a plain word.
        """
        word = meaning.understood
        is_plain = not parser.plain.isdisjoint(phrase_keys(word.text))
        if not is_plain and (parts := parser.split(word.text)):
            return [part.update(negated=word.negated) for part in parts]
        corrected = unknown_meaning(word.text).update(negated=word.negated) if is_plain else parser.correct(meaning)
        if corrected.understood.kind == "unknown" and not parser.vocabulary.all_have_words:
            return [unknown_meaning(word.text).update(negated=word.negated, reason="not_indexed")]
        return [corrected]

    def _plan(self, request: SearchRequest, conditions: tuple[Condition, ...]) -> FacetPlan:
        visible = self._policy.visibility_conditions(restricted=request.restricted)
        return FacetPlan(
            "tenant", request.tenant, request.filters, request.any_of, request.none_of, (*visible, *conditions)
        )


def _item_id(search: QueryState) -> str:
    return point_id(search.request.tenant, search.request.item_id or "", 0)


def _keys(words: Sequence[str]) -> frozenset[str]:
    return frozenset(key for word in words for key in phrase_keys(word)[:1])


def _price_of(item: Payload) -> ItemPrice | None:
    amount, currency = item.get("price"), item.get("currency")
    return ItemPrice(float(amount), str(currency)) if isinstance(amount, int | float) and currency else None


def _preferences(item: Payload, meanings: Sequence[Meaning]) -> list[tuple[Condition, float]]:
    """Return the facts of the query's item that hits should share: those that no word replaces."""
    words = [each.understood for each in meanings if each.is_active]
    kinds = {word.kind for word in words}
    replaced = {value.partition("=")[0] for word in words for value in word.values if word.kind == "attribute"}
    pairs = item.get("attribute_values")
    attributes = [str(pair) for pair in pairs] if isinstance(pairs, list) else []
    shared = [pair for pair in attributes if pair.partition("=")[0] not in replaced]
    if "colour" in kinds:
        shared = [pair for pair in shared if COLOUR_ATTRIBUTES.isdisjoint(phrase_keys(pair.partition("=")[0]))]
    preferences: list[tuple[Condition, float]] = [
        (AnyOf("attribute_values", (pair,)), ATTRIBUTE_WEIGHT) for pair in shared
    ]
    if item.get("category") and "category" not in kinds:
        preferences.append((AnyOf("category", (str(item["category"]),)), CATEGORY_WEIGHT))
    return preferences
