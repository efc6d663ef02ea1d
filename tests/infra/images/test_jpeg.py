"""JPEG files as cameras, phones and broken downloads make them."""

import io
import random
import struct
import zipfile

import numpy as np
import pytest
from PIL import Image

from infra.images.decode import decode
from infra.images.jpeg import read_jpeg
from schemas.failures import Code
from tests.infra.images.drawn import (
    END,
    LIMITS,
    difference,
    encoded,
    noise,
    photo,
    pixels,
    refusal,
    segment,
    with_segments,
)

LARGE = encoded(Image.new("L", (4400, 4400), 128), "JPEG")
"""19 megapixels: with 21 scans it would be refused."""


def archive() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        file.writestr("depth.bin", random.Random(1).randbytes(300_000))
    return out.getvalue()


def second_picture() -> bytes:
    """A progressive picture, as a gain map or the second eye of a camera."""
    return encoded(photo(640, 480), "JPEG", progressive=True)


@pytest.mark.parametrize(
    "tail",
    [
        b"\xff\xda" * 21,
        random.Random(0).randbytes(3_000_000),
        b"\0\0\0\x18ftypmp42\0\0\0\0isommp42" + random.Random(2).randbytes(2_000_000),
        archive(),
        second_picture() * 30,
        b"\xff" * 1_000_000,
        b"SEFT" + b"\xff\xda\0\x0c" * 4_000,
    ],
    ids=["markers", "noise", "video", "archive", "pictures", "fill", "trailer"],
)
def test_what_stands_behind_the_end_costs_nothing(tail: bytes) -> None:
    jpeg, plain = read_jpeg(LARGE + tail), read_jpeg(LARGE)
    assert (jpeg.data, jpeg.samples, jpeg.is_whole) == (plain.data, plain.samples, True)
    assert decode(LARGE + tail, LIMITS).width == 4400


def test_a_photo_with_a_second_picture_is_the_first_one() -> None:
    first, second = photo(320, 240), photo(640, 480, seed=3)
    out = io.BytesIO()
    first.save(out, "MPO", save_all=True, append_images=[second])
    assert decode(out.getvalue(), LIMITS).width == 320
    assert difference(out.getvalue(), encoded(first, "JPEG")) == 0


def test_a_picture_in_many_scans_is_refused_by_name() -> None:
    data = encoded(Image.new("RGB", (1_000, 1_000), "red"), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    failure = refusal(data[:-2] + data[last:-2] * 2_000 + data[-2:])
    assert (failure.code, "scans" in failure.message) == (Code.IMAGE_TOO_LARGE, True)


@pytest.mark.parametrize(
    "segments",
    [
        [segment(0xE0, b"JFIF\0")],
        [segment(0xE0, b"JFIF\0\1")],
        [segment(0xEE, b"Adobe")],
        [segment(0xED, b"Photoshop 3.0\0" + b"8BIM\x03\xed")],
        [segment(0xE2, b"ICC_PROFILE\0")],
        [segment(0xE2, b"ICC_PROFILE\0\1")],
        [segment(0xE2, b"ICC_PROFILE\0\1\7" + b"no profile")],
        [segment(0xE2, b"MPF\0II*\0\xff\xff\xff\xff")],
        [segment(0xE2, b"FPXR\0")],
        [segment(0xE1, b"Exif\0\0" + b"MM\0*" + random.Random(9).randbytes(50))],
        [segment(0xE1, b"Exif\0\0")],
        [segment(0xE1, b"http://ns.adobe.com/xmp/extension/\0" + b"\xff\xda" * 30_000)] * 30,
        [segment(0xFE, b"comment")] * 2_000,
        [b"\0\0\0"],
        [b"\n\r\n"],
        [b"\xff\xff\xff\xff"],
        [b"\xff\xd8"],
        [b"junk between" + b"\xff\0" + b"segments"],
        [b"\xff\xd0\xff\x01"],
    ],
)
@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
@pytest.mark.parametrize("progressive", [False, True])
def test_what_stands_before_the_pixels_does_not_decide(segments: list[bytes], *, progressive: bool) -> None:
    plain = encoded(photo(), "JPEG", progressive=progressive)
    assert difference(with_segments(plain, *segments), plain) == 0


def test_a_header_of_seven_bytes_is_taken_in_place_of_the_right_one() -> None:
    plain = encoded(photo(), "JPEG")
    assert plain[2:4] == b"\xff\xe0"
    assert difference(plain[:2] + segment(0xE0, b"JFIF\0") + plain[20:], plain) == 0


def test_orientation_and_profile_stay() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = read_jpeg(encoded(photo(), "JPEG", exif=exif, icc_profile=bytes(70_000), comment=b"x")).data
    image = Image.open(io.BytesIO(data))
    assert (image.getexif()[0x0112], len(image.info["icc_profile"])) == (6, 70_000)
    assert "comment" not in image.info


@pytest.mark.parametrize("cut", [1, 2, 3, 8, 20])
@pytest.mark.parametrize("size", [(64, 64), (96, 80), (333, 257)])
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}, {"restart_marker_rows": 1}])
def test_a_jpeg_without_its_last_bytes_is_decoded(
    cut: int, size: tuple[int, int], options: dict[str, object]
) -> None:
    whole = encoded(photo(*size), "JPEG", **options)
    assert difference(whole[:-cut], whole) < (0.001 if cut <= 2 else 8)


@pytest.mark.parametrize("behind", [{}, {"progressive": True}])
@pytest.mark.parametrize("options", [{}, {"progressive": True}])
def test_a_jpeg_without_its_end_ends_where_a_second_picture_begins(
    options: dict[str, object], behind: dict[str, object]
) -> None:
    whole, second = encoded(photo(), "JPEG", **options), encoded(photo(640, 480, seed=1), "JPEG", **behind)
    assert difference(whole[:-2] + second, whole) == 0
    assert refusal(whole[: len(whole) // 2] + second).code == Code.IMAGE_UNREADABLE


@pytest.mark.parametrize("percent", [30, 60])
def test_zeros_in_place_of_what_did_not_arrive_do_not_make_a_picture_whole(percent: int) -> None:
    whole = encoded(photo(320, 320), "JPEG")
    length = len(whole) * percent // 100
    assert refusal(whole[:length] + bytes(len(whole) - length)).code == Code.IMAGE_UNREADABLE
    assert difference(whole[:-2] + bytes(400), whole) < 1


def test_a_grey_jpeg_without_its_end_is_decoded_though_the_missing_would_be_grey() -> None:
    whole = encoded(Image.new("L", (640, 480), 128), "JPEG")
    assert difference(whole[:-2], whole) == 0


@pytest.mark.parametrize("kind", ["large", "photo"])
@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_that_lacks_a_few_of_many_lines_is_decoded(kind: str, *, progressive: bool) -> None:
    image = noise(640, 640) if kind == "large" else photo(640, 640)
    whole = encoded(image, "JPEG", progressive=progressive)
    cut = pixels(whole[: len(whole) * 97 // 100])
    upper = slice(0, 576)
    assert np.abs(cut[upper] - pixels(whole)[upper]).mean() < 4


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("percent", [5, 20, 50])
def test_a_half_of_a_jpeg_is_refused(percent: int, *, progressive: bool) -> None:
    for image in (noise(320, 320), photo(320, 320)):
        whole = encoded(image, "JPEG", progressive=progressive)
        failure = refusal(whole[: len(whole) * percent // 100])
        assert failure.code == Code.IMAGE_UNREADABLE
        assert "a JPEG" in failure.message


def test_samples_count_what_each_scan_holds() -> None:
    grey, colour = (read_jpeg(encoded(each, "JPEG")) for each in (noise(64, 64, 1), noise(64, 64)))
    assert (grey.samples, colour.samples) == (64 * 64, 64 * 64 * 3 // 2)
    scans = read_jpeg(encoded(noise(64, 64), "JPEG", progressive=True))
    assert (scans.is_progressive, scans.samples) == (True, 64 * 64 * 8)


def test_a_walk_is_quick_whatever_the_bytes() -> None:
    start = encoded(photo(), "JPEG")
    scan = start.index(b"\xff\xda")
    for filling in (b"\xff\0", b"\xff\xff", b"\xff\x02", b"\xff\xe0\0\2", b"\xff\xd0", b"\xff"):
        jpeg = read_jpeg(start[:scan] + filling * (1_000_000 // len(filling)) + struct.pack(">H", 9) + END)
        assert len(jpeg.data) < 3_000_000
