"""Resizing with vector instructions: as PIL does it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.Image import Resampling

from infra.images.resize import COARSE_SIDE, FINE_SIDE, average, overview, resize_bicubic


def noise(width: int, height: int, seed: int = 1) -> Image.Image:
    """A picture with detail in every pixel."""
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8))


def photo(width: int, height: int) -> Image.Image:
    """A picture whose levels change smoothly."""
    return noise(width // 8, height // 8).resize((width, height), Resampling.BICUBIC)


def difference(one: np.ndarray, other: Image.Image) -> float:
    """The mean difference of levels."""
    return float(np.abs(one.astype(np.int16) - np.asarray(other, np.int16)).mean())


@pytest.mark.parametrize("size", [(64, 48), (260, 260), (301, 407), (1000, 700)])
def test_a_whole_picture_and_a_part_of_it_are_resized_as_by_pil(size: tuple[int, int]) -> None:
    image, (width, height) = photo(*size), size
    for box in ((0.0, 0.0, width, height), (width * 0.15, height * 0.15, width * 0.85, height * 0.85)):
        assert difference(resize_bicubic(image, box, 260), image.resize((260, 260), Resampling.BICUBIC, box)) < 0.5


@pytest.mark.parametrize("size", [(64, 64), (224, 185), (640, 480)])
def test_an_overview_has_the_averages_of_the_pixels(size: tuple[int, int]) -> None:
    image = noise(*size)
    reduced = overview(image)
    assert difference(reduced.fine, image.resize((FINE_SIDE, FINE_SIDE), Resampling.BOX)) < 0.3
    assert difference(reduced.coarse, image.resize((COARSE_SIDE, COARSE_SIDE), Resampling.BOX)) < 0.3


def test_grey_pictures_are_averaged_too() -> None:
    grey = noise(300, 200).convert("L")
    assert average(grey, 32).shape == (32, 32)
    assert difference(average(grey, 32), grey.resize((32, 32), Resampling.BOX)) < 0.3


@settings(max_examples=200, deadline=None)
@given(
    size=st.tuples(st.integers(1, 300), st.integers(1, 300)),
    corners=st.lists(st.floats(0, 1), min_size=4, max_size=4),
    side=st.integers(1, 300),
)
def test_any_box_in_a_plain_picture_is_plain(size: tuple[int, int], corners: list[float], side: int) -> None:
    (left, right), (top, bottom) = sorted(corners[:2]), sorted(corners[2:])
    box = (left * size[0], top * size[1], max(right, left + 0.01) * size[0], max(bottom, top + 0.01) * size[1])
    square = resize_bicubic(Image.new("RGB", size, (200, 30, 90)), box, side)
    assert square.shape == (side, side, 3)
    assert (square == (200, 30, 90)).all()
