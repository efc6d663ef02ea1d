"""The contract of detectors: the default, and the one for drawn pictures."""

import pytest

from consumers.vision.contracts import Detector
from infra.config.settings import TorchSettings
from infra.encoder.region_detector import open_region_detector
from lookstream.contracts.test_detectors import (
    pictures,
    test_a_detector_has_a_name,
    test_boxes_lie_in_their_picture_and_have_an_area,
    test_each_picture_has_an_answer_in_its_order,
    test_no_pictures_have_no_answers,
    test_the_most_certain_box_is_first,
)
from tests.component_detector import ComponentDetector

__all__ = [
    "pictures",
    "test_a_detector_has_a_name",
    "test_boxes_lie_in_their_picture_and_have_an_area",
    "test_each_picture_has_an_answer_in_its_order",
    "test_no_pictures_have_no_answers",
    "test_the_most_certain_box_is_first",
]


@pytest.fixture(scope="module", params=["default", "components"])
def detector(request: pytest.FixtureRequest) -> Detector:
    return ComponentDetector() if request.param == "components" else open_region_detector(TorchSettings(threads=2))
