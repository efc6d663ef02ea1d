"""Perceptual hashes: near for one picture in two forms, far for two pictures."""

import io

import numpy as np
import pytest
from PIL import Image

from consumers.vision.perceptual_hash import BITS, PerceptualHash, hamming_distance, parse_hash, perceptual_hash


def scene(seed: int, side: int = 240) -> Image.Image:
    """A picture with large shapes, other ones for each seed."""
    draw = np.random.default_rng(seed)
    coarse = Image.fromarray(draw.integers(0, 256, (6, 6, 3), dtype=np.uint8))
    return coarse.resize((side, side), Image.Resampling.BICUBIC)


def recompressed(image: Image.Image) -> Image.Image:
    out = io.BytesIO()
    image.save(out, "JPEG", quality=30)
    return Image.open(out).convert("RGB")


@pytest.mark.parametrize("seed", range(8))
def test_a_picture_keeps_its_hash_when_it_is_resized_or_recompressed(seed: int) -> None:
    picture = scene(seed)
    one = perceptual_hash(picture)
    for other in (picture.resize((97, 141)), recompressed(picture), Image.eval(picture, lambda v: v * 9 // 10)):
        assert hamming_distance(one, perceptual_hash(other)) <= 6


@pytest.mark.parametrize("colour", ["white", "black", "#808080"])
@pytest.mark.parametrize("seed", range(4))
def test_a_frame_changes_the_hash_of_the_whole_but_not_of_what_is_in_it(seed: int, colour: str) -> None:
    picture = scene(seed)
    framed = Image.new("RGB", (picture.width + 40, picture.height + 90), colour)
    framed.paste(picture, (20, 60))
    one, other = perceptual_hash(picture), perceptual_hash(recompressed(framed))
    assert (one.whole ^ other.whole).bit_count() > 10
    assert hamming_distance(one, other) <= 8


def test_a_plain_picture_is_its_own_inside() -> None:
    for image in (Image.new("RGB", (64, 48), "white"), Image.new("RGB", (1, 300)), Image.new("RGB", (300, 1))):
        one = perceptual_hash(image)
        assert one.whole == one.inner


def test_pictures_that_have_nothing_in_common_differ_in_half_of_their_bits() -> None:
    hashes = [perceptual_hash(scene(seed)) for seed in range(12)]
    apart = [hamming_distance(one, other) for at, one in enumerate(hashes) for other in hashes[:at]]
    assert 24 <= np.mean(apart) <= 40
    assert min(apart) > 10


def test_a_hash_has_64_bits_half_of_which_are_set() -> None:
    one = perceptual_hash(scene(1))
    assert 0 <= one.whole < 2**BITS == 2**64
    assert one.whole.bit_count() == 32
    assert hamming_distance(one, one) == 0
    assert hamming_distance(one, PerceptualHash(0, one.inner ^ 0b1011)) == 3
    assert parse_hash(str(one)) == one
