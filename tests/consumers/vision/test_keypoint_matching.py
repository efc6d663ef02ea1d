"""Which pictures show the same flat thing, by their keypoints."""

import numpy as np
import pytest
from PIL import Image

from consumers.vision.keypoint_matching import agreement
from consumers.vision.keypoints import NO_KEYPOINTS, STORED_KEYPOINTS, Keypoints, find_keypoints
from tests.consumers.vision.packages import package, photo

MANY, FEW = 30, 12


@pytest.mark.parametrize("seed", range(6))
def test_a_turned_smaller_and_darker_photo_agrees_with_its_package_and_no_other(seed: int) -> None:
    query = find_keypoints(photo(package(seed), seed))
    assert len(agreement(query, find_keypoints(package(seed), STORED_KEYPOINTS))) >= MANY
    assert len(agreement(query, find_keypoints(package(seed + 100), STORED_KEYPOINTS))) < FEW


def test_points_that_agree_lie_in_the_same_place_of_the_package() -> None:
    image = package(3)
    half = image.resize((image.width // 2 * 2, image.height // 2 * 2)).crop((0, 0, image.width // 2, image.height))
    matches = agreement(find_keypoints(half), find_keypoints(image, STORED_KEYPOINTS))
    assert len(matches) >= FEW
    assert np.median(np.abs(matches[:, 0] / 2 - matches[:, 2])) < 0.02
    assert np.median(np.abs(matches[:, 1] - matches[:, 3])) < 0.02


def test_pictures_with_too_few_keypoints_agree_in_none() -> None:
    plain = find_keypoints(Image.new("RGB", (300, 300), "red"))
    for one, other in ((plain, plain), (NO_KEYPOINTS, find_keypoints(package(1)))):
        assert agreement(one, other).shape == (0, 4)


def test_keypoints_that_all_lie_in_one_place_agree_in_none() -> None:
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 256, (40, 16), np.uint8)
    spread = Keypoints(320, 320, rng.uniform(0, 1, (40, 2)).astype(np.float32), codes)
    heap = Keypoints(320, 320, np.full((40, 2), 0.5, np.float32), codes)
    assert len(agreement(spread, heap)) == 0
