"""Decoding: every way a picture can be encoded, and every way it can be bad."""

import math
import struct
import zlib
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from infra.images.decode import MIN_SHRUNK_SIDE, DecodeLimits, _reduction, decode, shrink, thumbnail
from schemas.failures import Code, Rejected
from schemas.searches import Crop
from tests.infra.images.drawn import KINDS, noise, photo

Encode = Callable[..., bytes]
LIMITS = DecodeLimits()


def halves(width: int = 60, height: int = 40) -> Image.Image:
    """Red on the left, blue on the right."""
    image = Image.new("RGB", (width, height), "red")
    image.paste("blue", (width // 2, 0, width, height))
    return image


def near(pixel: object, expected: tuple[int, int, int]) -> bool:
    return bool(np.abs(np.array(pixel, float) - expected).max() < 40)


def rejected(data: bytes, limits: DecodeLimits = LIMITS, crop: Crop | None = None) -> Rejected:
    with pytest.raises(Rejected) as caught:
        decode(data, limits, crop)
    return caught.value


@pytest.mark.parametrize("kind", KINDS)
def test_each_format_gives_the_same_rgb_picture(kind: str, encode: Encode) -> None:
    picture = decode(encode(halves(), kind), LIMITS)
    assert (picture.image.mode, picture.image.size) == ("RGB", (60, 40))
    assert near(picture.image.getpixel((10, 20)), (255, 0, 0))
    assert near(picture.image.getpixel((50, 20)), (0, 0, 255))


@pytest.mark.parametrize(
    "kind", ["PPM", "ICO", "TGA", "PCX", "EPS", "PDF", "DDS", "SGI", "JPEG2000", "ICNS", "QOI"]
)
@pytest.mark.parametrize("side", [64, 640])
def test_other_formats_are_refused_whatever_the_size(kind: str, side: int, encode: Encode) -> None:
    failure = rejected(encode(halves(side, side), kind))
    assert failure.code == Code.IMAGE_FORMAT
    assert "JPEG XL" in failure.message


def test_a_large_jpeg_is_decoded_reduced_and_keeps_its_size_on_record(encode: Encode) -> None:
    picture = decode(encode(halves(2400, 1600), "JPEG"), LIMITS)
    assert (picture.width, picture.height) == (2400, 1600)
    assert picture.image.size == (1200, 800)


def test_a_crop_of_a_large_jpeg_keeps_its_detail(encode: Encode) -> None:
    picture = decode(encode(halves(2400, 1600), "JPEG"), LIMITS, Crop(x=0.5, y=0.25, w=0.5, h=0.5))
    assert (picture.width, picture.height, picture.image.size) == (1200, 800, (1200, 800))
    assert near(picture.image.getpixel((10, 10)), (0, 0, 255))


def test_a_colour_profile_does_no_harm(encode: Encode) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert near(decode(encode(halves(), "JPEG", icc_profile=profile), LIMITS).image.getpixel((10, 20)), (255, 0, 0))


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", Code.IMAGE_MISSING),
        (b"<html>not found</html>", Code.IMAGE_FORMAT),
        (b"\xff\xd8\xff", Code.IMAGE_UNREADABLE),
        (b"\x89PNG\r\n\x1a\n", Code.IMAGE_UNREADABLE),
        (b"GIF89a", Code.IMAGE_UNREADABLE),
        (b"RIFF\0\0\0\0WEBP", Code.IMAGE_UNREADABLE),
        (b"II*\0\x08\0\0\0", Code.IMAGE_UNREADABLE),
        (b"BM", Code.IMAGE_UNREADABLE),
        (b"\0\0\0\x20ftypavif" + bytes(200), Code.IMAGE_UNREADABLE),
        (b"\0\0\0\x20ftypheic" + bytes(200), Code.IMAGE_UNREADABLE),
    ],
)
def test_what_is_no_picture_says_so(data: bytes, code: Code) -> None:
    assert rejected(data).code == code


@pytest.mark.parametrize(
    "start", [b"", b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"RIFF\x10\0\0\0WEBP"]
)
def test_a_refusal_reveals_nothing_of_the_bytes_nor_of_this_process(start: bytes) -> None:
    for rest in (b"TOPSECRET-CA", b"\x00\x00\x00\x0dIHDRTOPSECRET", b"\x00\x00\x00\x0dTOPSECRET-CA"):
        message = rejected(start + rest).message
        assert not any(secret in message for secret in ("SECRET", "b'", "BytesIO", "0x"))


def test_the_narrowest_crop_that_a_float_can_be_is_refused_as_too_small(encode: Encode) -> None:
    for kind in ("JPEG", "PNG"):
        for width in (5e-324, 1e-300, 1e-9):
            crop = Crop(x=0, y=0, w=width, h=1)
            assert rejected(encode(halves(), kind), crop=crop).code == Code.CROP_IMPOSSIBLE


@pytest.mark.parametrize("kind", KINDS)
def test_a_truncated_picture_is_unreadable(kind: str, encode: Encode) -> None:
    whole = encode(noise(80, 80), kind)
    failure = rejected(whole[: len(whole) // 2])
    assert failure.code == Code.IMAGE_UNREADABLE
    assert "cannot be read" in failure.message


@pytest.mark.parametrize(("kind", "side"), [*((kind, 400) for kind in KINDS), ("PNG", 1_700), ("JPEG", 1_700)])
def test_a_shrunk_picture_is_an_upright_jpeg_that_fits(kind: str, side: int, encode: Encode) -> None:
    data = shrink(encode(noise(side, side // 2), kind), LIMITS, 300_000)
    image = Image.open(BytesIO(data))
    assert (image.format, image.width / image.height) == ("JPEG", 2)
    assert len(data) <= 300_000
    assert image.width >= min(side, 800)


@pytest.mark.parametrize("size", [(8_000, 75), (75, 8_000), (30_000, 40), (1_600, 20)])
def test_a_panorama_is_shrunk_by_its_quality_first(size: tuple[int, int], encode: Encode) -> None:
    image = Image.open(BytesIO(shrink(encode(noise(*size), "PNG"), LIMITS, 700_000)))
    assert min(image.size) >= min(MIN_SHRUNK_SIDE, *size)


def test_a_turned_photo_is_upright_after_it_was_shrunk(encode: Encode) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = shrink(encode(noise(900, 600), "JPEG", quality=100, exif=exif), LIMITS, 700_000)
    assert Image.open(BytesIO(data)).size == (600, 900)


def test_transparent_parts_of_a_shrunk_picture_are_white(encode: Encode) -> None:
    data = shrink(encode(Image.new("RGBA", (40, 40), (255, 0, 0, 0))), LIMITS, 700_000)
    assert Image.open(BytesIO(data)).getpixel((20, 20)) == (255, 255, 255)


def test_what_does_not_fit_at_any_quality_is_refused_by_name(encode: Encode) -> None:
    with pytest.raises(Rejected) as caught:
        shrink(encode(noise(800, 800)), LIMITS, 1_000)
    assert caught.value.code == Code.IMAGE_TOO_LARGE


@pytest.mark.parametrize("kind", ["HEIF", "AVIF", "TIFF", "BMP", "JXL"])
def test_large_pictures_of_new_formats_are_reduced_and_keep_their_size_on_record(kind: str, encode: Encode) -> None:
    picture = decode(encode(photo(1_200, 1_056), kind), LIMITS)
    assert (picture.width, picture.height) == (1_200, 1_056)
    assert picture.image.size == (600, 528)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "GIF"])
def test_large_pictures_of_old_formats_keep_their_pixels(kind: str, encode: Encode) -> None:
    assert decode(encode(halves(2_400, 1_600), kind), LIMITS).image.size == (2_400, 1_600)


def test_a_crop_of_a_large_picture_of_any_format_keeps_its_detail(encode: Encode) -> None:
    crop = Crop(x=0.5, y=0.25, w=0.5, h=0.5)
    picture = decode(encode(halves(2_400, 1_600), "TIFF"), LIMITS, crop)
    assert (picture.width, picture.height, picture.image.size) == (1_200, 800, (1_200, 800))
    assert near(picture.image.getpixel((10, 10)), (0, 0, 255))


def test_limits_are_named_in_the_message(encode: Encode) -> None:
    data = encode(halves(100, 100))
    many_bytes = rejected(data, DecodeLimits(max_bytes=10))
    many_pixels = rejected(data, DecodeLimits(max_pixels=9_999))
    assert (many_bytes.code, many_pixels.code) == (Code.IMAGE_TOO_LARGE, Code.IMAGE_TOO_LARGE)
    assert "at most 10" in many_bytes.message
    assert "100 x 100" in many_pixels.message


@pytest.mark.parametrize("tail", [b"", bytes(500_000)])
@pytest.mark.parametrize("size", [(6_000, 4_000), (12_000, 8_300), (65_000, 1_500)])
def test_a_photo_of_many_megapixels_is_taken_large_or_small(
    size: tuple[int, int], tail: bytes, encode: Encode
) -> None:
    picture = decode(encode(Image.new("L", size), "JPEG") + tail, LIMITS)
    assert (picture.width, picture.height) == size
    assert picture.image.width * picture.image.height <= 20_000_000


@pytest.mark.parametrize("size", [(20_000_001, 4), (9_999, 8_003), (4_473, 4_473), (1, 1), (80_000_001, 1)])
def test_no_picture_is_handed_on_with_more_pixels_than_later_steps_can_copy(size: tuple[int, int]) -> None:
    factor = _reduction(size, 520)
    assert math.ceil(size[0] / factor) * math.ceil(size[1] / factor) <= 20_000_000


def test_a_photo_of_more_than_a_hundred_megapixels_is_refused_by_its_size(encode: Encode) -> None:
    failure = rejected(encode(Image.new("L", (10_001, 10_000)), "JPEG"))
    assert (failure.code, "10001 x 10000" in failure.message) == (Code.IMAGE_TOO_LARGE, True)


@pytest.mark.parametrize("side", [20_000, 60_000])
def test_a_bomb_is_refused_by_its_header(side: int) -> None:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    assert rejected(data).code == Code.IMAGE_TOO_LARGE


def test_a_jpeg_that_paints_itself_without_end_is_refused(encode: Encode) -> None:
    data = encode(halves(1000, 1000), "JPEG", progressive=True)
    assert decode(data, LIMITS).width == 1000
    last = data.rindex(b"\xff\xda")
    failure = rejected(data[:-2] + data[last:-2] * 2_000 + data[-2:])
    assert (failure.code, "scans" in failure.message) == (Code.IMAGE_TOO_LARGE, True)


def test_a_tiny_picture_is_refused(encode: Encode) -> None:
    assert rejected(encode(halves(200, 15))).code == Code.IMAGE_TOO_SMALL
    assert decode(encode(halves(200, 16)), LIMITS).height == 16


def test_a_crop_that_is_too_small_is_refused(encode: Encode) -> None:
    failure = rejected(encode(halves(100, 100)), LIMITS, Crop(x=0.1, y=0.1, w=0.1, h=0.5))
    assert (failure.code, "10 x 50" in failure.message) == (Code.CROP_IMPOSSIBLE, True)


def test_a_thumbnail_is_a_small_jpeg_of_the_same_shape() -> None:
    small = decode(thumbnail(halves(400, 200), 96), LIMITS)
    assert small.image.size == (96, 48)
    assert near(small.image.getpixel((10, 20)), (255, 0, 0))


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::PIL.Image.DecompressionBombWarning")
@settings(max_examples=150, deadline=None)
@given(
    kind=st.sampled_from(KINDS),
    cuts=st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=8)), min_size=1, max_size=6),
)
def test_no_damage_does_more_than_reject(kind: str, cuts: list[tuple[float, bytes]], encode: Encode) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = bytearray(encode(halves(), kind, **({"exif": exif} if kind not in ("GIF", "BMP", "JXL") else {})))
    for where, bytes_ in cuts:
        start = int(where * (len(data) - 1))
        data[start : start + len(bytes_)] = bytes_
    with suppress(Rejected):
        assert decode(bytes(data), LIMITS).image.mode == "RGB"
