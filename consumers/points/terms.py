"""Item terms: the words of an item's facts in the form in which the index ranks and filters by them."""

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache

from infra.qdrant.contract import Payload

WORD = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)?")
"""A word; an apostrophe inside belongs to it, as in men's."""
POSSESSIVE = re.compile(r"['\u2019]s?$|['\u2019]")
SHORTEST_PLURAL = 4
PLURALS = (("sses", "ss"), ("ches", "ch"), ("shes", "sh"), ("xes", "x"), ("zes", "z"), ("ies", "y"))
"""Endings of plurals that lose more than an s, with those of their singulars."""


@lru_cache(maxsize=8_192)
def fold(word: str) -> str:
    """Return a word in lower case, without accents and without the ending of a possessive: Café is cafe."""
    plain = unicodedata.normalize("NFKD", POSSESSIVE.sub("", word).casefold())
    return "".join(character for character in plain if not unicodedata.combining(character))


def stem(word: str) -> str:
    """Return a folded word without its English plural ending; other words stay as they are.

    Source: D. Harman, How effective is suffixing?, JASIS 1991 (the S stemmer), with the plurals of sibilants. A
    weaker stemmer mixes up fewer words: German and irregular forms are in the lexicon of a search.
    """
    if len(word) < SHORTEST_PLURAL:
        return word
    for plural, singular in PLURALS:
        if word.endswith(plural):
            return word.removesuffix(plural) + singular
    return word if word.endswith(("ss", "us", "is")) else word.removesuffix("s")


def terms_of(text: str) -> list[str]:
    """Return the words of a text in the form in which points hold them."""
    # A few letters stand for a blank, or for several words.
    return [stem(part) for word in WORD.findall(text) for part in fold(word).split()]


def item_terms(facts: Payload) -> str:
    """Return the terms of an item's title, category, brand, creator, tags and attributes, separated by blanks."""
    texts: list[object] = [facts.get(key) for key in ("title", "category", "brand", "creator")]
    for values in (facts.get("tags"), _attribute_texts(facts.get("attributes"))):
        texts += values if isinstance(values, Sequence) else ()
    return " ".join(term for text in texts if isinstance(text, str) for term in terms_of(text))


def _attribute_texts(attributes: object) -> list[object]:
    return list(attributes.values()) if isinstance(attributes, dict) else []
