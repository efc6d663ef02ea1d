"""WebP, HEIC and AVIF files with side data, wrong lengths and missing tails."""

import struct

import pytest
from PIL import Image

from infra.images.containers import read_boxes, read_webp
from infra.images.decode import decode
from schemas.failures import Code
from tests.infra.images.drawn import LIMITS, difference, encoded, photo, refusal

WEBP, HEIC, AVIF = (encoded(photo(), kind) for kind in ("WEBP", "HEIF", "AVIF"))
EXTENDED = encoded(photo(), "WEBP", exif=b"Exif\0\0MM\0*" + bytes(40), icc_profile=bytes(200), xmp=b"<x/>")
"""A WebP with side chunks behind its pixels."""


def riff_chunk(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<I", len(body)) + body + bytes(len(body) & 1)


@pytest.mark.parametrize(
    "data",
    [
        WEBP + b"SEFT" * 1_000,
        WEBP[:4] + b"\xff\xff\xff\x7f" + WEBP[8:],
        WEBP[:4] + struct.pack("<I", len(WEBP) - 8 + 500) + WEBP[8:],
        WEBP + riff_chunk(b"EXIF", b"broken"),
        WEBP + riff_chunk(b"abcd", bytes(99)),
        WEBP + b"XMP \xff\xff\xff\xff<x",
        WEBP[:-1],
        EXTENDED,
        EXTENDED[:-3],
        EXTENDED[:-30],
    ],
)
def test_a_webp_with_broken_side_data_is_decoded(data: bytes) -> None:
    assert difference(data, WEBP) == 0


def test_a_webp_of_many_frames_stays_whole() -> None:
    frames = [photo(seed=n) for n in range(4)]
    moving = encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:], duration=50)
    assert difference(moving, encoded(frames[0], "WEBP")) < 6
    assert read_webp(moving).count(b"ANMF") == 4


@pytest.mark.parametrize("whole", [HEIC, AVIF], ids=["heic", "avif"])
@pytest.mark.parametrize(
    "tail",
    [
        b"",
        b"\0\0\0\x18mpvd" + bytes(16),
        b"\xff\xd9" + bytes(5_000),
        b"SEFHe\0\0\0" * 100,
        b"\0\0\0\1mdat",
        b"\0" * 4,
    ],
)
def test_what_stands_behind_the_last_box_costs_nothing(whole: bytes, tail: bytes) -> None:
    assert difference(whole + tail, whole) == 0


@pytest.mark.parametrize("whole", [HEIC, AVIF], ids=["heic", "avif"])
def test_a_missing_tail_is_filled_up_and_half_a_file_is_refused(whole: bytes) -> None:
    assert difference(whole[:-1], whole) < 10
    failure = refusal(whole[: len(whole) // 2])
    assert failure.code == Code.IMAGE_UNREADABLE
    assert "0x" not in failure.message


@pytest.mark.parametrize("kind", ["HEIF", "AVIF"])
@pytest.mark.parametrize("turn", [1, 3, 6])
def test_broken_metadata_do_no_harm_and_the_orientation_is_that_of_the_picture(kind: str, turn: int) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = turn, "a description"
    data = encoded(photo(120, 64), kind, exif=exif, xmp=b"<x:xmpmeta/>")
    broken = data.replace(b"MM\0*", b"none").replace(b"II*\0", b"none").replace(b"<x:", b"\xff\0<")
    assert broken != data
    assert decode(data, LIMITS).width == (64 if turn == 6 else 120)
    assert difference(broken, data) == 0


@pytest.mark.parametrize(
    "data", [b"", b"RIFF", b"RIFF\0\0\0\0WEBP", b"\0\0\0\x08ftyp", b"\0" * 100, b"\0\0\0\1ftyp"]
)
def test_no_bytes_break_the_walk(data: bytes) -> None:
    assert read_webp(data).startswith(b"RIFF")
    assert len(read_boxes(data)) <= 2 * len(data)
