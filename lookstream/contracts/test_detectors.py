"""The contract of detectors, consumers/vision/contracts.py, for each detector of the fixture `detector`."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from consumers.vision.contracts import Detector


@pytest.fixture(scope="module")
def pictures() -> list[Image.Image]:
    """Pictures of unlike shapes: noise, one colour, narrow ones, and three drawn things."""
    noise = np.random.default_rng(0).integers(0, 255, (120, 90, 3), np.uint8)
    drawn = Image.new("RGB", (400, 300), "white")
    for colour, x in (("red", 20), ("blue", 150), ("black", 280)):
        ImageDraw.Draw(drawn).ellipse((x, 100, x + 90, 190), fill=colour)
    return [Image.fromarray(noise), Image.new("RGB", (50, 50)), Image.new("RGB", (16, 600), "red"), drawn]


def test_each_picture_has_an_answer_in_its_order(detector: Detector, pictures: list[Image.Image]) -> None:
    together = detector.detect(pictures)
    alone = [detector.detect([picture])[0] for picture in pictures]
    assert [len(boxes) for boxes in together] == [len(boxes) for boxes in alone]
    for one, other in zip(together, alone, strict=True):
        for (box, objectness), (same_box, same_objectness) in zip(one, other, strict=True):
            assert np.allclose(box, same_box, atol=0.02 * 600)
            assert objectness == pytest.approx(same_objectness, abs=0.05)


def test_boxes_lie_in_their_picture_and_have_an_area(detector: Detector, pictures: list[Image.Image]) -> None:
    for picture, boxes in zip(pictures, detector.detect(pictures), strict=True):
        for (left, top, right, bottom), _ in boxes:
            assert 0 <= left < right <= picture.width
            assert 0 <= top < bottom <= picture.height


def test_the_most_certain_box_is_first(detector: Detector, pictures: list[Image.Image]) -> None:
    for boxes in detector.detect(pictures):
        scores = [objectness for _, objectness in boxes]
        assert scores == sorted(scores, reverse=True)
        assert all(0 <= score <= 1 for score in scores)


def test_no_pictures_have_no_answers(detector: Detector) -> None:
    assert list(detector.detect([])) == []


def test_a_detector_has_a_name(detector: Detector) -> None:
    assert detector.name
