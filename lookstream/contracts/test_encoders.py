"""The contract of encoders, consumers/vision/contracts.py, for each encoder of the fixture `encoder`."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from consumers.vision.contracts import Encoder, EncoderInput
from consumers.vision.crops import middle_box
from infra.array_types import Box, Pixels

Show = Callable[[Encoder, Image.Image], EncoderInput]

ALIKE = 0.998
"""Least cosine of two vectors of one picture: a batch may round otherwise, above all in bfloat16."""


@pytest.fixture(scope="module")
def pictures() -> list[Image.Image]:
    """Nine unlike pictures, of unlike shapes, a black and a grey one among them."""
    draw = np.random.default_rng(0)
    shapes = [(20, 90), (90, 20), (64, 64), (300, 200), (33, 47), (120, 80), (260, 260)]
    noise = [Image.fromarray(draw.integers(0, 255, (*shape, 3), np.uint8)) for shape in shapes]
    return [*noise, Image.new("RGB", (50, 50)), Image.new("RGB", (50, 50), (128, 128, 128))]


def whole(picture: Image.Image) -> Box:
    return 0, 0, picture.width, picture.height


def once(encoder: Encoder, picture: Image.Image) -> Pixels:
    return encoder.prepare(picture, whole(picture))


def region(encoder: Encoder, picture: Image.Image) -> EncoderInput:
    return EncoderInput((encoder.prepare_region(picture, whole(picture)),), studio=False)


def studio(encoder: Encoder, picture: Image.Image) -> EncoderInput:
    return EncoderInput((once(encoder, picture),), studio=True)


def photo(encoder: Encoder, picture: Image.Image) -> EncoderInput:
    return EncoderInput((once(encoder, picture), encoder.prepare(picture, middle_box(picture))), studio=False)


def both(encoder: Encoder, pictures: Sequence[Image.Image]) -> list[EncoderInput]:
    """The pictures in turn as studio pictures, with one view, and as photos, with two."""
    return [(photo, studio)[n % 2](encoder, picture) for n, picture in enumerate(pictures)]


def cosines(encoder: Encoder, one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float32]:
    """Of the object parts and of the style parts, [2, N]."""
    product = one * other
    return np.stack([product[:, : encoder.object_size].sum(1), product[:, encoder.object_size :].sum(1)])


def test_prepared_pictures_have_one_shape(encoder: Encoder, pictures: list[Image.Image]) -> None:
    views = [view for picture in pictures for view in photo(encoder, picture).views]
    assert len({(view.shape, view.dtype) for view in views}) == 1


@pytest.mark.parametrize("show", [studio, photo])
def test_both_parts_have_unit_length(show: Show, encoder: Encoder, pictures: list[Image.Image]) -> None:
    vectors = encoder.run([show(encoder, picture) for picture in pictures])
    assert vectors.dtype == np.float32
    assert vectors.shape == (9, encoder.object_size + encoder.style_size)
    assert np.abs(cosines(encoder, vectors, vectors) - 1).max() < 1e-4


def test_a_batch_of_both_kinds_gives_each_the_vector_that_it_gets_alone(
    encoder: Encoder, pictures: list[Image.Image]
) -> None:
    inputs = both(encoder, pictures)
    alone = np.concatenate([encoder.run([one]) for one in inputs])
    assert cosines(encoder, encoder.run(inputs), alone).min() > ALIKE


def test_things_and_pictures_in_one_batch_get_the_vectors_that_they_get_alone(
    encoder: Encoder, pictures: list[Image.Image]
) -> None:
    inputs = [make(encoder, picture) for picture in pictures for make in (photo, region)]
    alone = np.concatenate([encoder.run([one]) for one in inputs])
    assert cosines(encoder, encoder.run(inputs), alone).min() > ALIKE


def test_a_thing_is_encoded_like_a_picture_of_it(encoder: Encoder) -> None:
    noise = Image.fromarray(np.random.default_rng(1).integers(0, 255, (150, 200, 3), np.uint8))
    picture = noise.filter(ImageFilter.GaussianBlur(6))
    whole_picture = EncoderInput((once(encoder, picture),), studio=False)
    as_picture, as_thing = encoder.run([whole_picture, region(encoder, picture)])
    assert cosines(encoder, as_picture[None], as_thing[None]).min() > 0.8


def test_the_order_of_a_batch_changes_nothing(encoder: Encoder, pictures: list[Image.Image]) -> None:
    inputs = both(encoder, pictures)
    assert cosines(encoder, encoder.run(inputs), encoder.run(inputs[::-1])[::-1]).min() > ALIKE


def test_no_pictures_give_no_vectors(encoder: Encoder) -> None:
    assert encoder.run([]).shape == (0, encoder.object_size + encoder.style_size)


def test_unlike_pictures_get_unlike_vectors(encoder: Encoder, pictures: list[Image.Image]) -> None:
    white, red = encoder.run([studio(encoder, one) for one in (Image.new("RGB", (64, 64), "white"), pictures[2])])
    assert np.abs(white - red).max() > 1e-3


@pytest.mark.parametrize("box", [(0, 0, 60, 40), (100, 30, 180, 90), (1, 50, 200, 150)])
def test_a_box_is_seen_as_a_picture_of_its_own(box: Box, encoder: Encoder) -> None:
    noise = Image.fromarray(np.random.default_rng(1).integers(0, 255, (150, 200, 3), np.uint8))
    picture = noise.filter(ImageFilter.GaussianBlur(6))
    left, top, right, bottom = (int(edge) for edge in box)
    part = picture.crop((left, top, right, bottom))
    inputs = [
        EncoderInput((pixels,), studio=False) for pixels in (encoder.prepare(picture, box), once(encoder, part))
    ]
    one, other = encoder.run(inputs)
    assert cosines(encoder, one[None], other[None]).min() > 0.99
    assert not np.array_equal(encoder.prepare(picture, box), once(encoder, picture))


def test_pictures_can_be_prepared_in_many_threads(encoder: Encoder, pictures: list[Image.Image]) -> None:
    with ThreadPoolExecutor(4) as pool:
        side_by_side = list(pool.map(lambda picture: once(encoder, picture), pictures * 4))
    assert all(
        np.array_equal(one, once(encoder, picture)) for one, picture in zip(side_by_side, pictures * 4, strict=True)
    )


def test_the_fingerprint_is_short_and_readable(encoder: Encoder) -> None:
    name, colon, digest = encoder.fingerprint.partition(":")
    assert name
    assert colon
    assert 1 <= len(digest) <= 12
