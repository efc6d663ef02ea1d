"""Null pictures: always the same, different from each other, on plain and other backgrounds, without objects."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from consumers.vision.crops import is_studio
from consumers.vision.null_images import NULL_IMAGE_COUNT, encode_jpeg, null_pictures
from consumers.vision.synthetic_textures import TEXTURES

SIDE = 24


def small(image: Image.Image) -> NDArray[np.float64]:
    """A picture's pixels without its mean, of unit length: their dot product is a correlation."""
    pixels = np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BOX), np.float64).ravel()
    pixels -= pixels.mean()
    unit: NDArray[np.float64] = pixels / (np.linalg.norm(pixels) + 1e-9)
    return unit


def test_there_are_200_or_more_and_every_texture_comes_on_both_grounds() -> None:
    assert NULL_IMAGE_COUNT >= 200
    assert NULL_IMAGE_COUNT % len(TEXTURES) == 0
    studio = np.array([is_studio(picture) for picture in null_pictures(2 * len(TEXTURES))])
    assert 0.4 < studio.mean() < 0.75
    assert studio.reshape(2, -1).any(0).all()


def test_the_same_seed_gives_the_same_pictures_and_another_seed_others() -> None:
    first, again, other = (
        [np.asarray(picture) for picture in null_pictures(len(TEXTURES), seed)] for seed in (0, 0, 1)
    )
    assert all(np.array_equal(one, same) for one, same in zip(first, again, strict=True))
    assert not any(np.array_equal(one, new) for one, new in zip(first, other, strict=True))


def test_they_are_unlike_each_other() -> None:
    thumbnails = np.stack([small(picture) for picture in null_pictures(96) if not is_studio(picture)])
    alike = thumbnails @ thumbnails.T - 2 * np.eye(len(thumbnails))
    assert abs(np.mean(alike[alike > -1])) < 0.1
    assert np.median(alike.max(1)) < 0.8
    assert alike.max() < 0.99


def test_each_has_something_to_see_and_travels_as_a_picture() -> None:
    for picture in null_pictures(2 * len(TEXTURES)):
        assert np.asarray(picture, np.float64).std() > 2
        again = Image.open(io.BytesIO(encode_jpeg(picture)))
        assert (again.mode, again.size) == ("RGB", picture.size)
