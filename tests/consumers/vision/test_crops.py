"""Crops: studio pictures and photos are distinguished by their borders, and each gets its crop."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from consumers.vision.crops import MIDDLE_SIDE_SHARE, FocusCrop, is_studio, middle_box, select_views

SIZES = [(16, 16), (16, 300), (301, 17), (65, 63), (333, 517), (1000, 400)]
"""Width and height; 16 is the least side that is taken."""


def noise(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8))


def product(width: int, height: int, ground: str, inset: float = 0.1) -> Image.Image:
    """A red disc on a plain ground."""
    image = Image.new("RGB", (width, height), ground)
    edges = width * inset, height * inset, width * (1 - inset), height * (1 - inset)
    ImageDraw.Draw(image).ellipse(edges, fill="red")
    return image


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("ground", ["white", "black", "#c0d0c0"])
def test_a_plain_border_is_a_studio_and_looked_at_once(ground: str, size: tuple[int, int]) -> None:
    width, height = size
    assert select_views(product(width, height, ground)) == FocusCrop(studio=True, boxes=((0, 0, width, height),))


@pytest.mark.parametrize("size", SIZES)
def test_noise_is_a_photo_and_looked_at_twice(size: tuple[int, int]) -> None:
    image = noise(*size)
    assert select_views(image) == FocusCrop(studio=False, boxes=((0, 0, *size), middle_box(image)))


def test_a_product_that_touches_the_border_is_still_in_a_studio() -> None:
    assert is_studio(product(200, 300, "white", inset=-0.02))


def test_a_slope_of_light_is_no_plain_ground() -> None:
    ramp = np.linspace(0, 255, 200).astype(np.uint8)
    assert not is_studio(Image.fromarray(np.repeat(np.tile(ramp, (150, 1))[..., None], 3, axis=2)))


def test_a_plain_ground_may_be_as_noisy_as_a_jpeg() -> None:
    grain = np.random.default_rng(0).normal(240, 4, (300, 300, 3)).clip(0, 255).astype(np.uint8)
    assert is_studio(Image.fromarray(grain))


def test_half_the_border_decides() -> None:
    image = noise(128, 128)
    image.paste("white", (0, 0, 128, 40))
    assert not is_studio(image), "a third of the border is plain"
    image.paste("white", (0, 0, 128, 100))
    assert is_studio(image), "most of the border is plain"


@given(st.integers(16, 1000), st.integers(16, 1000))
def test_the_middle_has_its_share_of_the_sides_and_lies_in_the_centre(width: int, height: int) -> None:
    left, top, right, bottom = middle_box(Image.new("1", (width, height)))
    assert (right - left, bottom - top) == pytest.approx((MIDDLE_SIDE_SHARE * width, MIDDLE_SIDE_SHARE * height))
    assert (left + right, top + bottom) == pytest.approx((width, height))
    assert pytest.approx(0.7) == MIDDLE_SIDE_SHARE
