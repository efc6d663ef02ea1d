"""What the words of a text mean, for the vocabulary of one shop."""

from typing import Any

import pytest

from consumers.searching.words.lexicon import read_lexicon
from consumers.searching.words.meanings import Meaning
from consumers.searching.words.prices import ItemPrice, PriceBoundsReader
from consumers.searching.words.vocabulary import Vocabulary
from consumers.searching.words.word_parser import WordParser
from infra.qdrant.conditions import HasWord

LEXICON = read_lexicon()
VALUES = {
    "category": ("Shirts", "Track Pants", "Night Pants", "Apparel > Shoes", "Orange", "Coats & Jackets"),
    "brand": ("Red Tape", "Levi's", "Something Blue", "Müller"),
    "tags": ("summer", "leather"),
}
ATTRIBUTES = ("color=Navy Blue", "color=Red", "color=Black/White", "gender=Men", "gender=Women", "size=42")


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    made = Vocabulary(currencies=("EUR",))
    for name, values in VALUES.items():
        for value in values:
            made.add(name, value)
    for pair in ATTRIBUTES:
        made.add_attribute(pair, LEXICON)
    return made


def parser(vocabulary: Vocabulary, **options: Any) -> WordParser:
    return WordParser(LEXICON, vocabulary, PriceBoundsReader(LEXICON, "EUR", ItemPrice(30.0, "EUR")), **options)


def parse(vocabulary: Vocabulary, text: str) -> list[tuple[str, str, bool]]:
    """Text, kind and negation of each meaning."""
    found = (meaning.understood for meaning in parser(vocabulary).parse(text))
    return [(word.text, word.kind, word.negated) for word in found]


def only(vocabulary: Vocabulary, text: str) -> Meaning:
    [meaning] = parser(vocabulary).parse(text)
    return meaning


@pytest.mark.parametrize(
    ("text", "kind", "values"),
    [
        ("shirt", "category", ("Shirts",)),
        ("Hemden", "category", ("Shirts",)),
        ("pants", "category", ("Track Pants", "Night Pants")),
        ("track-pants", "category", ("Track Pants",)),
        ("shoes", "category", ("Apparel > Shoes",)),
        ("Jacke", "category", ("Coats & Jackets",)),
        ("red tape", "brand", ("Red Tape",)),
        ("levis", "brand", ("Levi's",)),
        ("something blue", "brand", ("Something Blue",)),
        ("muller", "brand", ("Müller",)),
        ("men's", "attribute", ("gender=Men",)),
        ("Damen", "attribute", ("gender=Women",)),
        ("Leder", "tag", ("leather",)),
        ("dunkelblaues", "colour", ("navy",)),
        ("light blue", "colour", ("blue",)),
    ],
)
def test_a_word_is_a_value_of_the_shop_or_a_colour(
    vocabulary: Vocabulary, text: str, kind: str, values: tuple[str, ...]
) -> None:
    understood = only(vocabulary, text).understood
    assert (understood.kind, understood.values) == (kind, values)


def test_a_colour_that_is_a_category_too_is_the_category_if_no_other_is_named(vocabulary: Vocabulary) -> None:
    assert only(vocabulary, "orange").understood.kind == "category"
    assert parse(vocabulary, "orange shirt") == [("orange", "colour", False), ("shirt", "category", False)]


def test_merchant_colours_count_before_those_of_the_picture(vocabulary: Vocabulary) -> None:
    assert vocabulary.colour_filters(LEXICON.colours["navy"]) == ("color=Navy Blue",)
    assert vocabulary.colour_filters(LEXICON.colours["maroon"]) == ("color=Red",), "no item is maroon"
    assert vocabulary.colour_filters(LEXICON.colours["white"]) == ("color=Black/White",)


def test_a_negation_holds_for_the_next_phrase_and_over_or(vocabulary: Vocabulary) -> None:
    assert parse(vocabulary, "shirt not in red or navy but black") == [
        ("shirt", "category", False), ("red", "colour", True), ("navy", "colour", True), ("black", "colour", False),
    ]  # fmt: skip
    assert parse(vocabulary, "without leather, shirt") == [("leather", "tag", True), ("shirt", "category", False)]
    for text, joiner in (("not red nor navy", "nor"), ("nicht rot noch dunkelblau", "noch")):
        assert [(kind, negated) for _, kind, negated in parse(vocabulary, text)] == [("colour", True)] * 2, joiner
    assert parse(vocabulary, "kein Leder") == [("Leder", "tag", True)]


def test_words_without_a_meaning_of_their_own_are_skipped(vocabulary: Vocabulary) -> None:
    assert parse(vocabulary, "I want something like this, but the same in red please!") == [
        ("red", "colour", False)
    ]
    assert parse(vocabulary, "the") == []


def test_other_words_are_matched_to_the_texts_of_items(vocabulary: Vocabulary) -> None:
    meaning = only(vocabulary, "Holidays")
    assert (meaning.understood.kind, meaning.is_checked) == ("word", False)
    assert meaning.groups == ((HasWord("words", ("holiday",)),),)


def test_a_compound_of_known_words_is_split(vocabulary: Vocabulary) -> None:
    parts = parser(vocabulary).split("lederjacke")
    assert parts is not None
    assert [part.understood.kind for part in parts] == ["tag", "category"]
    assert parser(vocabulary).split("xyzzyjacke") is None


@pytest.mark.parametrize(("typo", "word"), [("shirtz", "shirt"), ("leahter", "leather"), ("strped", "striped")])
def test_a_word_with_one_wrong_letter_is_read_as_the_known_one(
    vocabulary: Vocabulary, typo: str, word: str
) -> None:
    understood = parser(vocabulary).correct(only(vocabulary, typo)).understood
    if word == "striped":
        assert understood.kind == "unknown", "it is not known whether an item is striped"
    else:
        assert (understood.corrected, understood.kind in ("category", "tag")) == (word, True)


def test_short_words_and_words_far_from_all_others_are_unknown(vocabulary: Vocabulary) -> None:
    for text in ("shrt", "xyzzyplugh"):
        meaning = only(vocabulary, text)
        assert parser(vocabulary).correct(meaning).understood.kind == "unknown"


def test_the_request_overrules_words(vocabulary: Vocabulary) -> None:
    made = parser(vocabulary, left_out=frozenset({"red"}), plain=frozenset({"shirt"}))
    assert [(each.understood.text, each.understood.kind) for each in made.parse("red shirt")] == [
        ("red", "unknown"),
        ("shirt", "word"),
    ]


def test_hostile_texts_are_read_too(vocabulary: Vocabulary) -> None:
    for text in (
        "",
        " ",
        "-",
        "'",
        "€",
        "€€ - €",
        "not",
        "under",
        "\x00",
        "a" * 300,
        "20 -",
        "🙂 shirt",
        "1.2.3.4,5",
    ):
        parser(vocabulary).parse(text)
    assert len(parser(vocabulary).parse("x " * 150)) == 60
