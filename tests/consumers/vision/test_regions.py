"""The regions of a picture: which boxes become regions, and what is cut out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from consumers.vision.regions import MIN_OBJECTNESS, MIN_SIDE, Region, choose_regions, cut_out, shows_one_thing
from infra.array_types import Box
from infra.images.resize import overview
from schemas.items import MAX_REGIONS

SIZE = (400, 300)
LEFT: Box = (10, 20, 110, 220)
RIGHT: Box = (250, 50, 350, 150)


def test_several_things_are_regions_and_one_alone_is_only_with_all() -> None:
    both = choose_regions(SIZE, [(LEFT, 0.9), (RIGHT, 0.8)], "auto")
    assert [region.box for region in both] == [LEFT, RIGHT]
    assert choose_regions(SIZE, [(LEFT, 0.9)], "auto") == []
    assert [region.box for region in choose_regions(SIZE, [(LEFT, 0.9)], "all")] == [LEFT]


def test_unsure_and_tiny_boxes_are_no_regions() -> None:
    tiny: Box = (0, 0, MIN_SIDE - 1, 100)
    unsure = MIN_OBJECTNESS["auto"] - 0.01
    assert choose_regions(SIZE, [(LEFT, 0.9), (RIGHT, unsure), (tiny, 0.9)], "auto") == []
    assert len(choose_regions(SIZE, [(LEFT, 0.9), (RIGHT, unsure)], "all")) == 2


def test_there_are_never_more_than_the_result_can_hold() -> None:
    boxes: list[tuple[Box, float]] = [((40.0 * n, 0, 40.0 * n + 30, 100), 0.9) for n in range(9)]
    assert len(choose_regions(SIZE, boxes, "all")) == MAX_REGIONS


def test_a_region_is_told_in_shares_of_the_picture() -> None:
    [region] = choose_regions(SIZE, [(LEFT, 0.9)], "all")
    crop = region.crop(SIZE)
    assert (crop.x, crop.y, crop.w, crop.h) == pytest.approx((10 / 400, 20 / 300, 100 / 400, 200 / 300))


def test_parts_of_a_more_certain_thing_are_no_regions() -> None:
    part: Box = (20, 30, 60, 120)
    assert [region.box for region in choose_regions(SIZE, [(LEFT, 0.9), (part, 0.8)], "all")] == [LEFT]
    assert choose_regions(SIZE, [(part, 0.9), (LEFT, 0.8)], "auto") == []


def test_a_thing_as_large_as_the_picture_is_the_whole() -> None:
    large: Box = (0, 0, 240, 290)
    assert choose_regions(SIZE, [(large, 0.9), (RIGHT, 0.9)], "auto") == []
    assert len(choose_regions(SIZE, [(large, 0.9), (RIGHT, 0.9)], "all")) == 2


def test_boxes_are_clipped_to_the_picture() -> None:
    beyond: Box = (-50, -50, 100, 100)
    [region] = choose_regions(SIZE, [(beyond, 1.5)], "all")
    assert region == Region((0, 0, 100, 100), 1.0)
    outside: Box = (500, 0, 700, 100)
    assert choose_regions(SIZE, [(outside, 0.9)], "all") == []


@given(st.integers(16, 900), st.integers(16, 900), st.tuples(*[st.floats(-1000, 1000)] * 4))
def test_every_box_gives_a_crop_that_a_request_can_have(
    width: int, height: int, box: tuple[float, float, float, float]
) -> None:
    for region in choose_regions((width, height), [(box, 0.9)], "all"):
        assert region.crop((width, height)).w > 0


def test_a_thing_is_cut_out_in_the_middle_of_a_white_square() -> None:
    part = cut_out(Image.new("RGB", SIZE, "red"), LEFT)
    assert part.size == (200, 200)
    assert part.getpixel((100, 100)) == (255, 0, 0)
    assert part.getpixel((10, 100)) == part.getpixel((190, 100)) == (255, 255, 255)


def on_white(*boxes: tuple[int, int, int, int]) -> Image.Image:
    """Blue things on white."""
    image = Image.new("RGB", (600, 600), "white")
    for box in boxes:
        ImageDraw.Draw(image).rectangle(box, fill="#2255cc")
    return image


@pytest.mark.parametrize(
    ("boxes", "expected"),
    [
        ([(100, 100, 300, 500)], True),
        ([(100, 100, 290, 500), (300, 100, 500, 500)], True),  # two parts of a thing, with a narrow gap
        ([(50, 100, 250, 500), (350, 100, 550, 500)], False),
        ([(100, 100, 400, 500), (560, 560, 580, 580)], True),  # a thing and a speck
        ([], True),
    ],
)
def test_on_a_plain_ground_one_connected_thing_is_the_whole(
    boxes: list[tuple[int, int, int, int]], *, expected: bool
) -> None:
    assert shows_one_thing(overview(on_white(*boxes))) == expected
