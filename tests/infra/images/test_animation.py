"""Animations and pages: the first that shows something."""

from collections.abc import Sequence

import numpy as np
import pytest
from PIL import Image

from infra.images.decode import decode
from tests.infra.images.drawn import LIMITS, encoded, photo, pixels

ANIMATED = ("GIF", "WEBP", "PNG", "AVIF", "TIFF")
RED, CLEAR = (255, 0, 0), (0, 0, 0, 0)


def moving(kind: str, frames: Sequence[Image.Image]) -> bytes:
    options: dict[str, object] = {} if kind == "TIFF" else {"duration": 50}
    return encoded(frames[0], kind, save_all=True, append_images=list(frames[1:]), **options)


def plain(colour: str | tuple[int, ...] = "black") -> Image.Image:
    return Image.new("RGB" if isinstance(colour, str) else "RGBA", (64, 48), colour)


def red(mode: str = "RGB") -> Image.Image:
    """Red at the left, black at the right."""
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
