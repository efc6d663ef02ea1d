"""The region detector: its boxes are those of the things, and of those that overlap it keeps the most certain."""

from itertools import chain
from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from infra.config.settings import TorchSettings
from infra.encoder.region_detector import (
    MAX_OVERLAP,
    MAX_REGIONS,
    decode_boxes,
    open_region_detector,
    overlaps,
    suppress,
)

ENGINES: tuple[Literal["openvino", "torch"], ...] = ("openvino", "torch")
THINGS = {"red": (30, 60, 150, 220), "blue": (330, 40, 450, 200), "black": (180, 240, 300, 340)}


def draw_things(ground: str) -> Image.Image:
    picture = Image.new("RGB", (480, 360), ground)
    draw = ImageDraw.Draw(picture)
    for colour, (left, top, right, bottom) in THINGS.items():
        draw.rounded_rectangle((left, top, right, bottom), 30, fill=colour)
        draw.ellipse((left + 40, top + 30, left + 80, top + 70), fill="white")
    return picture


def test_both_engines_find_the_same_boxes() -> None:
    pictures = [draw_things("white"), draw_things("#c8b89a")]
    one, other = (
        open_region_detector(TorchSettings(threads=1, engine=engine, precision="float32")).detect(pictures)
        for engine in ENGINES
    )
    for first, second in zip(chain(*one), chain(*other), strict=True):
        assert first.box == pytest.approx(second.box, abs=0.5)
        assert first.objectness == pytest.approx(second.objectness, abs=0.01)


@pytest.mark.parametrize("ground", ["white", "#c8b89a"])
def test_things_that_lie_apart_each_have_a_box(ground: str) -> None:
    [found] = open_region_detector(TorchSettings(threads=1)).detect([draw_things(ground)])
    boxes = np.array([box for box, _ in found], np.float32)
    for box in THINGS.values():
        assert overlaps(np.array(box, np.float32), boxes).max() > 0.5


def test_an_output_of_zeros_is_a_box_of_half_the_sides_around_each_cell() -> None:
    scores, boxes = decode_boxes(np.zeros((1, 5, 4, 4), np.float32))
    assert scores.tolist() == np.full((1, 4, 4), 0.5).tolist()
    assert boxes[0, 1, 2].tolist() == pytest.approx([0.375, 0.125, 0.875, 0.625])
    assert boxes[0, 0, 0].tolist() == pytest.approx([0, 0, 0.375, 0.375])


def test_overlaps_are_intersections_over_unions() -> None:
    box = np.array([0, 0, 1, 1], np.float32)
    others = np.array([[0, 0, 1, 1], [0.5, 0, 1.5, 1], [2, 2, 3, 3]], np.float32)
    assert overlaps(box, others).tolist() == pytest.approx([1, 1 / 3, 0])


@given(st.lists(st.tuples(st.floats(0, 1), *[st.floats(0, 0.5)] * 4), max_size=30))
def test_of_boxes_that_overlap_the_most_certain_stays(rows: list[tuple[float, float, float, float, float]]) -> None:
    scores = np.array([score for score, *_ in rows], np.float32)
    boxes = np.array([[x, y, x + w, y + h] for _, x, y, w, h in rows], np.float32).reshape(-1, 4)
    chosen = suppress(scores, boxes)
    assert len(chosen) <= MAX_REGIONS
    assert [scores[at] for at in chosen] == sorted((scores[at] for at in chosen), reverse=True)
    for place, at in enumerate(chosen):
        if place:
            assert overlaps(boxes[at], boxes[chosen[:place]]).max() <= MAX_OVERLAP
