"""Pictures augmented to casual photos: the same thing, elsewhere, in another light."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from consumers.vision.phone_augmentation import LONG_SIDES, SHORT_SIDES, augment


def studio_disc(size: tuple[int, int] = (200, 160)) -> Image.Image:
    image = Image.new("RGB", size, "white")
    width, height = size
    ImageDraw.Draw(image).ellipse((width // 5, height // 5, width * 4 // 5, height * 4 // 5), fill="#e01010")
    return image


def red_share(image: Image.Image) -> float:
    red, green, blue = np.moveaxis(np.asarray(image, np.int64), -1, 0)
    return float(np.mean((red > 2 * green) & (red > 2 * blue)))


@pytest.mark.parametrize("seed", range(8))
def test_the_object_of_a_studio_picture_lies_on_another_ground(seed: int) -> None:
    augmented = augment(studio_disc(), np.random.default_rng(seed), studio=True)
    assert 0.02 < red_share(augmented) < 0.6
    rgb = np.asarray(augmented)
    border = np.concatenate([rgb[0], rgb[-1], rgb[:, 0], rgb[:, -1]])
    assert np.mean(np.all(border > 245, axis=1)) < 0.5


@pytest.mark.parametrize("seed", range(8))
def test_an_augmented_photo_shows_most_of_it(seed: int) -> None:
    photo = Image.effect_noise((300, 200), 60).convert("RGB")
    photo.paste("#e01010", (60, 40, 240, 160))
    assert red_share(augment(photo, np.random.default_rng(seed), studio=False)) > 0.2


@pytest.mark.parametrize("studio", [True, False])
@pytest.mark.parametrize("size", [(16, 16), (1600, 40), (40, 1600), (500, 700)])
def test_an_augmented_picture_has_the_size_of_a_small_photo(size: tuple[int, int], *, studio: bool) -> None:
    augmented = augment(studio_disc(size), np.random.default_rng(1), studio=studio)
    assert augmented.mode == "RGB"
    assert LONG_SIDES[0] <= max(augmented.size) < LONG_SIDES[1]
    assert SHORT_SIDES[0] <= min(augmented.size) < SHORT_SIDES[1]


def test_the_same_numbers_make_the_same_picture() -> None:
    first, again, other = (augment(studio_disc(), np.random.default_rng(n), studio=True) for n in (1, 1, 2))
    assert first.tobytes() == again.tobytes()
    assert first.tobytes() != other.tobytes()
