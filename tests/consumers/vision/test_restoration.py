"""Restoration: dark photos get brighter, blurred ones sharper, and all others stay as they are."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageFilter

from consumers.vision.restoration import BRIGHT_LEVEL, MIN_SIGMA, SIDE, brighten, deblur, fit_spectrum
from infra.array_types import Doubles, Floats
from tests.consumers.vision.packages import package, photo

SEEDS = range(6)


def scene(seed: int) -> Image.Image:
    """A photo of a package, with edges of every size, as large as those that are embedded."""
    return photo(package(seed), seed).resize((690, 570), Image.Resampling.LANCZOS)


def blurred(image: Image.Image, sigma: float) -> Image.Image:
    """The picture with a blur of `sigma` pixels at a shorter side of SIDE."""
    return image.filter(ImageFilter.GaussianBlur(sigma * min(image.size) / SIDE))


def darkened(image: Image.Image, factor: float) -> Image.Image:
    return image.point([round(value * factor) for value in range(256)] * 3)


def distance(one: Image.Image, other: Image.Image) -> float:
    """The root of the mean squared difference of the edges."""
    edges = [edges_of(image) for image in (one, other)]
    return float(np.sqrt(np.mean((edges[0] - edges[1]) ** 2)))


def edges_of(image: Image.Image) -> Doubles:
    grey = np.asarray(image.convert("L").resize((300, 248), Image.Resampling.BOX), np.float64)
    return np.diff(grey, axis=1)[20:-20, 20:-20]


@pytest.mark.parametrize("seed", SEEDS)
def test_the_edges_of_a_blurred_photo_come_closer_to_those_of_the_sharp_one(seed: int) -> None:
    sharp = scene(seed)
    soft = blurred(sharp, 3)
    restored = deblur(soft)
    assert restored.size == soft.size
    assert distance(restored, sharp) < 0.95 * distance(soft, sharp)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("sigma", [0.0, 0.5])
def test_a_sharp_photo_is_left_alone(seed: int, sigma: float) -> None:
    image = blurred(scene(seed), sigma)
    assert deblur(image) is image


def test_a_small_picture_is_left_alone() -> None:
    image = blurred(scene(1), 3).resize((300, SIDE - 1))
    assert deblur(image) is image


@pytest.mark.parametrize("seed", SEEDS)
def test_the_spectrum_tells_how_blurred_a_photo_is(seed: int) -> None:
    sigmas = []
    for sigma in (0, 3, 4):
        square = blurred(scene(seed), sigma).convert("L").crop((60, 0, 630, 570)).resize((SIDE, SIDE))
        grey: Floats = np.asarray(square, np.float32) / np.float32(255)
        sigmas.append(fit_spectrum(grey).sigma)
    assert sigmas[0] < MIN_SIGMA < sigmas[1] < sigmas[2]


@pytest.mark.parametrize("factor", [0.1, 0.3, 0.5])
def test_a_dark_photo_becomes_as_bright_as_others(factor: float) -> None:
    image = Image.effect_noise((300, 200), 90).convert("RGB")
    brighter = np.asarray(brighten(darkened(image, factor)))
    assert np.percentile(brighter.max(2), 99) == pytest.approx(BRIGHT_LEVEL, abs=12)


def test_a_bright_photo_with_much_black_is_left_alone() -> None:
    image = Image.new("RGB", (300, 200), "black")
    image.paste("white", (0, 0, 60, 60))
    assert brighten(image) is image


def test_the_hues_of_a_dark_photo_stay() -> None:
    red, green, blue = np.asarray(brighten(Image.new("RGB", (40, 40), (90, 45, 9))))[0, 0].tolist()
    assert (red, green, blue) == pytest.approx((235, 117, 24), abs=1)


@given(
    st.integers(1, 400),
    st.integers(1, 400),
    st.sampled_from(["black", "white", "noise", "ramp", "dots"]),
)
def test_any_picture_keeps_its_size_and_mode(width: int, height: int, kind: str) -> None:
    y, x = np.mgrid[:height, :width]
    grey = {
        "black": np.zeros((height, width)),
        "white": np.full((height, width), 255),
        "noise": np.random.default_rng(1).uniform(0, 255, (height, width)),
        "ramp": x * 255 / width,
        "dots": 255 * ((x + y) % 97 == 0),
    }[kind]
    image = Image.fromarray(grey.astype(np.uint8)).convert("RGB")
    result = deblur(brighten(image))
    assert (result.size, result.mode) == (image.size, "RGB")
