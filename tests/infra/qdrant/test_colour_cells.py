"""Colour cells: cells of Lab match a colour within its distance."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from infra.qdrant.colour_cells import CELL_SIZE, filter_shades, hex_to_lab, lab_cell, picture_shades
from schemas.filters import Filters
from schemas.results import Swatch

HALF_DIAGONAL = math.sqrt(3) * CELL_SIZE / 2

codes = st.integers(0, 0xFFFFFF).map("#{:06x}".format)


def swatch(code: str, share: float) -> Swatch:
    return Swatch(hex=code, lab=hex_to_lab(code), name="red", share=share)


@pytest.mark.parametrize(
    ("code", "lab"),
    [("#000000", (0, 0, 0)), ("#ffffff", (100, 0, 0)), ("#ff0000", (53.24, 80.09, 67.20)),
     ("#0000FF", (32.30, 79.19, -107.86))],
)  # fmt: skip
def test_lab_of_known_colours(code: str, lab: tuple[float, float, float]) -> None:
    assert hex_to_lab(code) == pytest.approx(lab, abs=0.05)


@given(query_colour=codes, held=codes, distance=st.integers(1, 40))
def test_a_colour_matches_within_its_distance_to_half_a_cell(query_colour: str, held: str, distance: int) -> None:
    cells = filter_shades([f"{query_colour}~{distance}"])
    apart = math.dist(hex_to_lab(query_colour), hex_to_lab(held))
    found = lab_cell(hex_to_lab(held)) in cells
    assert found or apart > distance - HALF_DIAGONAL
    assert not found or apart < max(distance, HALF_DIAGONAL) + HALF_DIAGONAL


@given(code=codes)
def test_a_colour_matches_itself_at_any_distance(code: str) -> None:
    for distance in ("", "~1", "~40"):
        assert lab_cell(hex_to_lab(code)) in filter_shades([code + distance])


def test_the_distance_is_10_unless_given() -> None:
    assert filter_shades(["#aa2233"]) == filter_shades(["#aa2233~10"])


def test_colour_names_stay_names_and_hex_colours_become_cells() -> None:
    assert filter_shades(["red", "navy"]) == ("red", "navy")
    assert filter_shades(["red", "#000000~1"]) == ("red", "L0.0.0")
    assert filter_shades([]) == ()


def test_a_picture_has_its_names_and_the_cells_of_its_large_swatches() -> None:
    palette = [swatch("#000000", 0.6), swatch("#ffffff", 0.3), swatch("#ff0000", 0.05)]
    assert picture_shades(["black", "white"], palette) == ["black", "white", "L0.0.0", "L20.0.0"]
    assert picture_shades(["red"], [swatch("#ffffff", 0.05)]) == ["red", "L20.0.0"]
    assert picture_shades([], []) == []


@pytest.mark.parametrize("colour", ["purpel", "#12345", "aa2233", "#aa2233~0", "#aa2233~41", "#aa2233~", "red~5"])
def test_a_colour_that_is_neither_a_name_nor_a_hex_code_is_refused(colour: str) -> None:
    with pytest.raises(ValidationError):
        Filters(colours=(colour,))
