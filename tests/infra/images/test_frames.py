"""Animations and pages: the first that shows something."""

from collections.abc import Sequence

import numpy as np
import pytest
from PIL import Image

from infra.images.decode import decode
from schemas.failures import Code
from tests.infra.images.drawn import LIMITS, encoded, photo, pixels, refusal

ANIMATED = ("GIF", "WEBP", "PNG", "AVIF", "TIFF")
RED, CLEAR = (255, 0, 0), (0, 0, 0, 0)


def moving(kind: str, frames: Sequence[Image.Image]) -> bytes:
    options: dict[str, object] = {} if kind == "TIFF" else {"duration": 50}
    return encoded(frames[0], kind, save_all=True, append_images=list(frames[1:]), **options)


def plain(colour: str | tuple[int, ...] = "black") -> Image.Image:
    return Image.new("RGB" if isinstance(colour, str) else "RGBA", (64, 48), colour)


def red(mode: str = "RGB") -> Image.Image:
    """Red beside black."""
    image = Image.new("RGB", (64, 48), "black")
    image.paste(RED, (0, 0, 32, 48))
    return image.convert(mode)


def is_red(data: bytes) -> bool:
    left = np.asarray(decode(data, LIMITS).image, int)[24, 8]
    return bool(np.abs(left - RED).max() < 60)


@pytest.mark.parametrize("kind", ANIMATED)
@pytest.mark.parametrize("colour", ["black", "white", "#777777"])
@pytest.mark.parametrize("count", [1, 3])
def test_frames_of_one_colour_are_passed_over(kind: str, colour: str, count: int) -> None:
    # Encoders merge equal frames, so those that follow each other differ a little.
    first = [plain(colour), plain("#010101"), plain("#fefefe")][:count]
    assert is_red(moving(kind, [*first, red(), plain()]))


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "AVIF"])
def test_transparent_frames_are_passed_over(kind: str) -> None:
    assert is_red(moving(kind, [plain(CLEAR), red("RGBA")]))


@pytest.mark.parametrize("kind", ANIMATED)
def test_the_first_frame_counts_if_it_shows_something(kind: str) -> None:
    assert is_red(moving(kind, [red(), photo(64, 48), plain()]))


@pytest.mark.parametrize("kind", ANIMATED)
def test_the_first_frame_counts_if_all_are_of_one_colour(kind: str) -> None:
    found = pixels(moving(kind, [plain("#cc0000"), plain("black"), plain("white")]))
    assert np.abs(found - (204, 0, 0)).max() < 20


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_a_broken_second_frame_does_no_harm(kind: str) -> None:
    whole = moving(kind, [plain("#cc0000"), photo(64, 48), photo(64, 48, seed=1)])
    found = decode(whole[: len(whole) * 2 // 3], LIMITS).image
    assert found.size == (64, 48)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_only_some_frames_are_looked_at(kind: str) -> None:
    frames = [plain("white" if n % 2 else "black") for n in range(60)]
    assert pixels(moving(kind, [*frames, red()])).max() < 20


@pytest.mark.parametrize("tags", [{50706: b"\1\4\0\0"}, {254: 1, 330: 8}])
def test_the_preview_in_a_raw_file_is_not_taken_for_the_picture(tags: dict[int, object]) -> None:
    failure = refusal(encoded(photo(160, 120), "TIFF", tiffinfo=tags))
    assert (failure.code, "raw file" in failure.message) == (Code.IMAGE_FORMAT, True)


def test_the_largest_page_of_a_tiff_is_the_picture() -> None:
    small, large = photo(64, 64), photo(320, 240)
    found = decode(encoded(small, "TIFF", save_all=True, append_images=[large, photo(200, 100)]), LIMITS)
    assert (found.width, found.height) == (320, 240)


def test_a_page_beyond_the_limit_leaves_the_next_smaller_one() -> None:
    data = encoded(photo(400, 400), "TIFF", save_all=True, append_images=[photo(300, 200), photo(64, 64)])
    assert decode(data, type(LIMITS)(max_pixels=100_000)).width == 300


def test_a_blank_page_does_not_give_way_to_a_preview() -> None:
    data = encoded(Image.new("RGB", (400, 400), "white"), "TIFF", save_all=True, append_images=[photo(64, 64)])
    assert decode(data, LIMITS).width == 400
