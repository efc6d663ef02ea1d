"""Colours: the difference formula against published pairs, names against plain colours, and the weighting."""

from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from consumers.vision.cielab import ciede2000, to_lab
from consumers.vision.colour import COLOUR_SIZE, ColourExtractor
from schemas.filters import ColourName

PAIRS = [
    ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
    ((50, -1.3802, -84.2814), (50, 0, -82.7485), 1.0000),
    ((50, 0, 0), (50, -1, 2), 2.3669),
    ((50, 2.49, -0.001), (50, -2.49, 0.0009), 7.1792),
    ((50, 2.5, 0), (50, 0, -2.5), 4.3065),
    ((50, 2.5, 0), (73, 25, -18), 27.1492),
    ((50, 2.5, 0), (61, -5, 29), 22.8977),
    ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
    ((22.7233, 20.0904, -46.6940), (23.0331, 14.9730, -42.5619), 2.0373),
    ((90.8027, -2.0831, 1.4410), (91.1528, -1.6435, 0.0447), 1.4441),
    ((2.0776, 0.0795, -1.1350), (0.9033, -0.0636, -0.5514), 0.9082),
]
"""Sharma, Wu and Dalal, 2005, table 1."""

PLAIN: dict[ColourName, str] = {
    "black": "#101010", "white": "#fafafa", "grey": "#808080", "red": "#cc1122", "orange": "#ff8c00",
    "yellow": "#ffdd11", "green": "#228833", "teal": "#008888", "blue": "#3377dd", "navy": "#141e46",
    "purple": "#7722aa", "pink": "#ff88bb", "brown": "#6b4226", "beige": "#dcc8a8",
}  # fmt: skip


def product(colour: str, ground: str = "white") -> Image.Image:
    """A thing in the middle of a plain ground."""
    image = Image.new("RGB", (240, 320), ground)
    ImageDraw.Draw(image).rounded_rectangle((70, 60, 170, 260), 20, fill=colour)
    return image


@pytest.mark.parametrize(("one", "other", "difference"), PAIRS)
def test_ciede2000_gives_the_published_differences(
    one: tuple[float, ...], other: tuple[float, ...], difference: float
) -> None:
    first, second = np.array(one, np.float32), np.array(other, np.float32)
    assert ciede2000(first, second) == pytest.approx(difference, abs=2e-3)
    assert ciede2000(second, first) == pytest.approx(difference, abs=2e-3)


def test_lab_of_known_colours() -> None:
    lab = to_lab(np.array([[0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 0, 255]], np.uint8))
    published = np.array([[0, 0, 0], [100, 0, 0], [53.24, 80.09, 67.20], [32.30, 79.19, -107.86]])
    assert np.allclose(lab, published, atol=0.05)


def test_every_name_has_a_plain_colour_here() -> None:
    assert set(PLAIN) == set(get_args(ColourName))


@pytest.mark.parametrize("name", PLAIN)
def test_a_plain_product_on_white_has_its_name_alone(name: ColourName, colours: ColourExtractor) -> None:
    facts = colours.extract(product(PLAIN[name]))
    assert facts.names == (name,)
    assert facts.palette[0].share > 0.85


@pytest.mark.parametrize("name", [name for name in PLAIN if name != "black"])
def test_a_plain_product_on_black_has_its_name_first(name: ColourName, colours: ColourExtractor) -> None:
    assert colours.extract(product(PLAIN[name], "black")).names[0] == name


def test_a_white_shirt_on_white_is_white(colours: ColourExtractor) -> None:
    image = product("#f7f7f7")
    ImageDraw.Draw(image).rounded_rectangle((70, 60, 170, 260), 20, outline="#c4c4c4", width=3)
    for y in range(90, 250, 40):
        ImageDraw.Draw(image).line((90, y, 150, y + 10), fill="#d8d8d8", width=3)
    assert colours.extract(image).names[0] == "white"


def test_an_all_black_and_an_all_white_picture_have_their_names(colours: ColourExtractor) -> None:
    assert colours.extract(Image.new("RGB", (50, 50))).names == ("black",)
    assert colours.extract(Image.new("RGB", (50, 50), "white")).names == ("white",)


def test_two_colours_are_named_largest_first(colours: ColourExtractor) -> None:
    image = product(PLAIN["red"])
    ImageDraw.Draw(image).rectangle((70, 150, 170, 190), fill=PLAIN["navy"])
    facts = colours.extract(image)
    assert facts.names == ("red", "navy")
    assert [swatch.name for swatch in facts.palette][:2] == ["red", "navy"]
    assert sum(swatch.share for swatch in facts.palette) <= 1.001


def test_who_wears_a_thing_does_not_name_it(colours: ColourExtractor) -> None:
    worn = Image.new("RGB", (240, 320), "white")
    draw = ImageDraw.Draw(worn)
    draw.ellipse((90, 10, 150, 80), fill="#d8a987")
    draw.rectangle((40, 110, 200, 310), fill="#c89677")
    draw.rectangle((70, 90, 170, 220), fill=PLAIN["blue"])
    assert colours.extract(worn).names == ("blue",)
    assert {"beige", "blue"} <= {swatch.name for swatch in colours.extract(worn).palette}


def test_a_thing_the_colour_of_skin_still_has_a_name(colours: ColourExtractor) -> None:
    assert colours.extract(product("#d8a987")).names == ("beige",)


def test_a_thing_all_grey_is_grey_whatever_its_label(colours: ColourExtractor) -> None:
    image = product(PLAIN["grey"])
    ImageDraw.Draw(image).rectangle((110, 130, 130, 150), fill=PLAIN["blue"])
    assert colours.extract(image).names[0] == "grey"


def test_a_busy_border_is_no_background(colours: ColourExtractor) -> None:
    stripes = Image.new("RGB", (200, 200), PLAIN["green"])
    for x in range(0, 200, 40):
        ImageDraw.Draw(stripes).rectangle((x, 0, x + 19, 199), fill=PLAIN["yellow"])
    assert set(colours.extract(stripes).names) == {"green", "yellow"}


def test_swatches_show_the_colour_that_was_there(colours: ColourExtractor) -> None:
    swatch = colours.extract(product("#3377dd")).palette[0]
    rgb = np.array(list(bytes.fromhex(swatch.hex[1:])), np.uint8)
    assert np.abs(rgb - np.array((0x33, 0x77, 0xDD), np.int16)).max() <= 8
    assert swatch.lab == pytest.approx(to_lab(rgb).tolist(), abs=0.06)


def test_histograms_distinguish_colours_and_not_shades(colours: ColourExtractor) -> None:
    red, dark_red, blue = (
        colours.extract(product(colour)).histogram for colour in ("#cc1122", "#b81020", "#3377dd")
    )
    assert red @ dark_red > 0.9
    assert red @ blue < 0.4


def test_a_histogram_looks_past_the_background(colours: ColourExtractor) -> None:
    on_white, on_grey = (colours.extract(product("#cc1122", ground)).histogram for ground in ("white", "#777777"))
    assert on_white @ on_grey > 0.85


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10_000), width=st.integers(16, 200), height=st.integers(16, 200))
def test_any_picture_has_a_name_a_palette_and_a_unit_histogram(
    seed: int, width: int, height: int, colours: ColourExtractor
) -> None:
    few = np.random.default_rng(seed).integers(0, 256, (3, 4, 3), np.uint8)
    facts = colours.extract(Image.fromarray(few).resize((width, height)))
    assert 1 <= len(facts.names) <= 3
    assert 1 <= len(facts.palette) <= 5
    assert facts.histogram.shape == (COLOUR_SIZE,)
    assert np.linalg.norm(facts.histogram) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("name", PLAIN)
def test_the_table_names_plain_colours(name: ColourName, colours: ColourExtractor) -> None:
    red, green, blue = bytes.fromhex(PLAIN[name][1:])
    assert colours.colour_name(red, green, blue) == name
