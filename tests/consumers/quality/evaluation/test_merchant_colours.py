"""Merchants' words for colours are ours, or honestly none of ours."""

from typing import get_args

import pytest

from consumers.quality.evaluation.merchant_colours import MERCHANT_COLOURS, map_colour_word
from schemas.filters import ColourName


@pytest.mark.parametrize(
    ("word", "name"), [("Navy Blue", "navy"), ("  off  WHITE ", "white"), ("Maroon", "red"), ("navy", "navy")]
)
def test_a_merchants_word_has_our_name_whatever_its_case_and_spaces(word: str, name: str) -> None:
    assert map_colour_word(word) == name


@pytest.mark.parametrize("word", ["Multi", "Metallic", "Gold", "NA", "", "Peach"])
def test_a_word_without_an_honest_counterpart_has_none(word: str) -> None:
    assert map_colour_word(word) is None


def test_our_own_names_stand_for_themselves_and_each_is_some_merchants() -> None:
    assert {map_colour_word(name): name for name in get_args(ColourName)} == {
        name: name for name in get_args(ColourName)
    }
    assert set(MERCHANT_COLOURS.values()) == set(get_args(ColourName))
