"""The lexicon: its files are whole, and a further language is one more file."""

import tomllib
from pathlib import Path
from typing import get_args

import pytest

from consumers.searching.words.lexicon import FOLDER, Lexicon, NamedColour, read_lexicon
from consumers.searching.words.prices import PriceBoundsReader
from consumers.searching.words.vocabulary import Vocabulary
from consumers.searching.words.word_parser import WordParser
from schemas.filters import ColourName

LANGUAGES = sorted(FOLDER.glob("*.toml"))
FRENCH = Path(__file__).parent / "languages" / "french.toml"


@pytest.mark.parametrize("path", [*LANGUAGES, FRENCH], ids=lambda path: path.stem)
def test_each_language_has_all_tables_and_colours(path: Path) -> None:
    table = tomllib.loads(path.read_text())
    english = tomllib.loads((FOLDER / "english.toml").read_text())
    assert set(table["price"]) == set(english["price"])
    assert set(table["colours"]) == set(get_args(ColourName))
    assert set(table["shades"]) <= set(get_args(ColourName))
    for kind in ("patterns", "concepts"):
        assert set(table[kind]) <= set(english[kind]), "names of concepts are the same in all languages"


@pytest.fixture(scope="module")
def with_french(tmp_path_factory: pytest.TempPathFactory) -> Lexicon:
    """The lexicon with one more file, as if somebody had added it."""
    folder = tmp_path_factory.mktemp("words")
    for path in (*LANGUAGES, FRENCH):
        (folder / path.name).write_bytes(path.read_bytes())
    return read_lexicon(folder)


def test_a_further_language_is_a_file(with_french: Lexicon) -> None:
    assert with_french.colours["verte"] == NamedColour("green", "green")
    assert "sans" in with_french.negations
    assert {"shirt", "hemd", "chemise"} <= set(with_french.synonyms(("chemise",)))
    assert "moinsde" in with_french.price["below"]
    assert read_lexicon().colours["rot"] == with_french.colours["rot"], "the other languages keep their words"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            "chemise verte pour femme sans rayures",
            [("category", False), ("colour", False), ("attribute", False), ("pattern", True)],
        ),
        ("robes rouges, moins de 30 euros", [("category", False), ("colour", False), ("price", False)]),
        ("pas de sac ni de robe", [("category", True), ("category", True)]),
        (
            "une chemise bleu marine entre 10 et 20",
            [("category", False), ("colour", False), ("price", False)],
        ),
        ("rotes Hemd ohne Streifen", [("colour", False), ("category", False), ("pattern", True)]),
    ],
)
def test_texts_are_read_in_a_further_language(
    with_french: Lexicon, text: str, found: list[tuple[str, bool]]
) -> None:
    vocabulary = Vocabulary(currencies=("EUR",))
    for category in ("Shirts", "Dresses", "Bags"):
        vocabulary.add("category", category)
    vocabulary.add_attribute("gender=Women", with_french)
    parser = WordParser(with_french, vocabulary, PriceBoundsReader(with_french, "EUR"))
    words = [meaning.understood for meaning in parser.parse(text)]
    assert [(word.kind, word.negated) for word in words] == found


def test_shades_and_tones_belong_to_their_colours() -> None:
    colours = read_lexicon().colours
    assert colours["maroon"] == NamedColour("red", "maroon")
    assert colours["navyblue"] == colours["dunkelblau"] == colours["navy"] == NamedColour("navy", "navy")
    assert colours["lightgreen"] == NamedColour("green", "lightgreen")
