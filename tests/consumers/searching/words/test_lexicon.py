"""The lexicon: its files are whole, and a further language is one more file."""

import tomllib
from pathlib import Path
from typing import get_args

import pytest

from consumers.searching.words.lexicon import FOLDER, NamedColour, read_lexicon
from schemas.filters import ColourName

LANGUAGES = sorted(FOLDER.glob("*.toml"))


@pytest.mark.parametrize("path", LANGUAGES, ids=lambda path: path.stem)
def test_each_language_has_all_tables_and_colours(path: Path) -> None:
    table = tomllib.loads(path.read_text())
    english = tomllib.loads((FOLDER / "english.toml").read_text())
    assert set(table["price"]) == set(english["price"])
    assert set(table["colours"]) == set(get_args(ColourName))
    assert set(table["shades"]) <= set(get_args(ColourName))
    for kind in ("patterns", "concepts"):
        assert set(table[kind]) <= set(english[kind]), "names of concepts are the same in all languages"


def test_a_further_language_is_a_file(tmp_path: Path) -> None:
    for path in LANGUAGES:
        (tmp_path / path.name).write_text(path.read_text())
    (tmp_path / "french.toml").write_text(
        'stop = ["le", "la"]\nnegations = ["sans", "pas"]\ninflections = ["e", "s"]\n'
        '[price]\nbelow = ["moins de"]\n[colours]\ngreen = ["vert"]\n[concepts]\nshirt = ["chemise"]\n'
    )
    lexicon = read_lexicon(tmp_path)
    assert lexicon.colours["verte"] == NamedColour("green", "green")
    assert "sans" in lexicon.negations
    assert {"shirt", "hemd", "chemise"} <= set(lexicon.synonyms(("chemise",)))
    assert "moinsde" in lexicon.price["below"]


def test_shades_and_tones_belong_to_their_colours() -> None:
    colours = read_lexicon().colours
    assert colours["maroon"] == NamedColour("red", "maroon")
    assert colours["navyblue"] == colours["dunkelblau"] == colours["navy"] == NamedColour("navy", "navy")
    assert colours["lightgreen"] == NamedColour("green", "lightgreen")
