"""Pages of TIFF files: which one is the picture, and how much memory it takes."""

import struct
from io import BytesIO

import pytest
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from infra.images.decode import DecodeLimits, decode
from infra.images.image_file import MAX_TIFF_BYTES
from infra.images.tiff import decoding_bytes, picture_pages
from schemas.failures import Code
from tests.infra.images.drawn import LIMITS, encoded, photo, refusal


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
    assert decode(data, DecodeLimits(max_pixels=100_000)).width == 300


def test_a_blank_page_does_not_give_way_to_a_preview() -> None:
    data = encoded(Image.new("RGB", (400, 400), "white"), "TIFF", save_all=True, append_images=[photo(64, 64)])
    assert decode(data, LIMITS).width == 400


def opened(data: bytes) -> TiffImageFile:
    image = Image.open(BytesIO(data))
    assert isinstance(image, TiffImageFile)
    return image


@pytest.mark.parametrize("kind", [1, 4])
def test_masks_and_smaller_copies_give_way_to_other_pages(kind: int) -> None:
    data = encoded(
        photo(300, 300),
        "TIFF",
        save_all=True,
        append_images=[photo(200, 200)],
        tiffinfo={254: 0},
        compression="raw",
    )
    entry = struct.pack("<HHI", 254, 4, 1)
    assert entry in data
    assert picture_pages(opened(data), 10**8)[0] == 0
    data = data.replace(entry + bytes(4), entry + struct.pack("<I", kind), 1)
    assert picture_pages(opened(data), 10**8)[0] == 1


def test_many_pages_end_the_search() -> None:
    data = encoded(photo(16, 16), "TIFF", save_all=True, append_images=[photo(16, 16)] * 50 + [photo(99, 99)])
    assert picture_pages(opened(data), 10**8) == list(range(32))


def test_memory_is_that_of_the_picture_and_of_the_largest_strip() -> None:
    strips = encoded(photo(100, 80), "TIFF", tiffinfo={278: 8})
    assert decoding_bytes(opened(strips)) == 100 * (4 * 80 + 8 * 3)
    whole = encoded(Image.new("F", (100, 80)), "TIFF", tiffinfo={278: 80})
    assert decoding_bytes(opened(whole)) == 100 * (4 * 80 + 80 * 4)
    assert MAX_TIFF_BYTES > 100_000_000 * (4 + 4), "100 megapixels of floats in one strip fit"
