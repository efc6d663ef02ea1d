"""Picture sources: slices of files, limits, and boxes in pixels of the upright picture."""

import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from consumers.quality.evaluation.labelled_dataset import LabelledImage
from consumers.quality.evaluation.picture_source import MAX_BYTES, FileSlice, cut_box, read_file

edges = st.floats(-1_000, 1_000, allow_nan=False)


def jpeg(image: Image.Image, exif: Image.Exif | None = None) -> bytes:
    out = io.BytesIO()
    image.save(out, "JPEG", quality=95, exif=exif or Image.Exif())
    return out.getvalue()


def halves() -> Image.Image:
    """80 x 40 pixels, red on the left and blue on the right."""
    image = Image.new("RGB", (80, 40), "red")
    image.paste("blue", (40, 0, 80, 40))
    return image


def mean_colour(picture: bytes) -> tuple[int, ...]:
    pixel = Image.open(io.BytesIO(picture)).resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))
    assert isinstance(pixel, tuple)
    return pixel


def test_a_slice_of_a_file_is_read(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"0123456789")
    assert FileSlice(file, 2, 3).read() == b"234"
    assert FileSlice(file, 8, 10).read() == b"89"
    with pytest.raises(OSError, match="the picture has"):
        FileSlice(file, 0, MAX_BYTES + 1).read()


def test_a_file_that_is_too_large_or_missing_is_not_read(tmp_path: Path) -> None:
    file = tmp_path / "large"
    with file.open("wb") as out:
        out.truncate(MAX_BYTES + 1)
    with pytest.raises(OSError, match="too large"):
        read_file(file)
    for path in (file, tmp_path / "missing", tmp_path):
        assert LabelledImage("a", path).read() == b""


def test_a_box_is_cut_out_of_the_picture() -> None:
    part = cut_box(jpeg(halves()), (40, 0, 80, 40))
    assert Image.open(io.BytesIO(part)).size == (40, 40)
    red, _, blue = mean_colour(part)
    assert blue > 200 > 50 > red


def test_a_box_is_in_pixels_of_the_upright_picture() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = jpeg(halves().transpose(Image.Transpose.ROTATE_90), exif)
    red, _, blue = mean_colour(cut_box(turned, (0, 0, 40, 40)))
    assert red > 200 > 50 > blue


def test_a_box_is_clipped_to_the_picture() -> None:
    part = cut_box(jpeg(halves()), (60, -10, 200, 500))
    assert Image.open(io.BytesIO(part)).size == (20, 40)


@pytest.mark.parametrize("box", [(0, 0, 5, 40), (90, 0, 120, 40), (40, 0, 20, 40), (0, 10, 80, 10)])
def test_a_box_without_content_gives_no_picture(box: tuple[float, float, float, float]) -> None:
    assert cut_box(jpeg(halves()), box) == b""


@given(st.tuples(edges, edges, edges, edges))
def test_any_box_gives_a_picture_or_none(box: tuple[float, float, float, float]) -> None:
    part = cut_box(jpeg(halves()), box)
    assert not part or Image.open(io.BytesIO(part)).size <= (80, 40)


def test_what_is_no_picture_gives_none() -> None:
    assert cut_box(b"no picture", (0, 0, 40, 40)) == b""
    assert cut_box(b"", (0, 0, 40, 40)) == b""
