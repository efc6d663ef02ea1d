"""JPEG XL: sizes from headers, and the decoder's pixels."""

import numpy as np
import pytest
from PIL import Image

from infra.images.decode import DecodeLimits, decode
from infra.images.jpeg_xl import read_size
from schemas.failures import Code
from tests.infra.images.drawn import LIMITS, as_jpeg_xl, difference, encoded, noise, photo, refusal


@pytest.mark.parametrize(
    "size", [(16, 16), (64, 64), (256, 192), (300, 200), (320, 180), (96, 80), (1000, 500), (777, 123), (40, 5000)]
)
@pytest.mark.parametrize("container", [False, True])
def test_the_size_stands_in_the_header(size: tuple[int, int], *, container: bool) -> None:
    data = encoded(Image.new("RGB", size, "red"), "JXL", use_container=container, exif=b"MM\0*" + bytes(12))
    assert read_size(data) == size


@pytest.mark.parametrize(
    "data", [b"\xff\x0a", b"\xff\x0aabc", b"\0\0\0\x0cJXL \r\n\x87\n", b"\0\0\0\x0cJXL \r\n\x87\n" * 9]
)
def test_a_file_without_a_header_is_refused(data: bytes) -> None:
    assert refusal(data).code == Code.IMAGE_UNREADABLE


def test_a_bomb_is_refused_by_its_header() -> None:
    # Not small; 30 bits of the height, less 1; the ratio 1:1.
    bits = 0 | 3 << 1 | (1 << 29) << 3 | 1 << 33
    assert refusal(b"\xff\x0a" + bits.to_bytes(5, "little") + bytes(50)).code == Code.IMAGE_TOO_LARGE


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_every_mode_is_decoded(mode: str) -> None:
    image = photo().convert(mode)
    assert difference(encoded(image, "JXL", lossless=True), encoded(image, "PNG")) <= 1


def test_sixteen_bits_are_scaled() -> None:
    levels = np.linspace(0, 65_535, 64 * 64, dtype=np.uint16).reshape(64, 64)
    found = decode(encoded(Image.fromarray(levels), "JXL", lossless=True), LIMITS).image.convert("L")
    # The encoder states that these levels are linear light, so its profile changes those between black and white.
    rising = np.asarray(found, int).ravel()
    assert (rising[0], rising[-1], bool((np.diff(rising) >= 0).all())) == (0, 255, True)


def test_a_file_made_of_a_jpeg_looks_as_it_did() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    jpeg = encoded(photo(120, 64), "JPEG", exif=exif)
    data = as_jpeg_xl(jpeg)
    assert decode(data, LIMITS).height == 120
    assert difference(data, jpeg) == 0


def test_the_orientation_of_exif_does_not_turn_a_picture_twice() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(photo(120, 64), "JXL", exif=exif.tobytes(), use_container=True)
    assert decode(data, LIMITS).width == 120


def test_pixels_are_limited_as_in_any_format() -> None:
    assert refusal(encoded(noise(200, 200), "JXL"), DecodeLimits(max_pixels=39_999)).code == Code.IMAGE_TOO_LARGE
