"""PNG files whose side chunks are broken, huge or unknown, and whose ends are missing."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from infra.images.decode import decode
from infra.images.png import read_png
from schemas.failures import Code
from tests.infra.images.drawn import LIMITS, chunk, difference, encoded, photo, pixels, refusal, with_chunks

PLAIN = encoded(photo(), "PNG")
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def profile_chunk(profile: bytes, method: int = 0) -> bytes:
    return chunk(b"iCCP", b"name\0" + bytes([method]) + zlib.compress(profile))


SIDE_CHUNKS = {
    "text with a wrong checksum": chunk(b"tEXt", b"a\0b", 0),
    "time with a wrong checksum": chunk(b"tIME", bytes(7), 0),
    "profile with a wrong checksum": chunk(b"iCCP", b"a\0\0" + zlib.compress(b"x"), 0),
    "transparency with a wrong checksum": chunk(b"tRNS", bytes(6), 0),
    "gamma with a wrong checksum": chunk(b"gAMA", bytes(4), 0),
    "short chromaticities": chunk(b"cHRM", bytes(3)),
    "no gamma": chunk(b"gAMA", b""),
    "no intent": chunk(b"sRGB", b""),
    "short density": chunk(b"pHYs", bytes(3)),
    "short transparency": chunk(b"tRNS", bytes(1)),
    "short animation": chunk(b"acTL", bytes(2)),
    "no frames": chunk(b"acTL", bytes(8)),
    "frame out of order": chunk(b"acTL", struct.pack(">II", 2, 0)) + chunk(b"fcTL", bytes(26)) * 2,
    "frame outside": chunk(b"acTL", struct.pack(">II", 2, 0))
    + chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, 999, 999, 9, 9, 1, 1, 0, 0)),
    "text bomb": chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(1_048_577))),
    "large text bomb": chunk(b"iTXt", b"a\0\1\0\0\0" + zlib.compress(bytes(30_000_000))),
    "many text bombs": chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(1_000_000))) * 100,
    "texts": chunk(b"tEXt", b"a\0b") * 20_000,
    "text packed by an unknown method": chunk(b"zTXt", b"a\0\7x"),
    "orientation bomb": chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(bytes(2_000_000))),
    "profile bomb": profile_chunk(bytes(50_000_000)),
    "profile packed by an unknown method": profile_chunk(SRGB, 9),
    "profile of noise": profile_chunk(np.random.default_rng(0).bytes(5_000)),
    "profile that is not packed": chunk(b"iCCP", b"name\0\0" + SRGB[:500]),
    "exif of noise": chunk(b"eXIf", b"MM\0*" + np.random.default_rng(1).bytes(500)),
    "no exif": chunk(b"eXIf", b""),
    "private chunk": chunk(b"prVt", bytes(100), 7),
    "unknown chunk": chunk(b"xyZz", bytes(100)),
    "palette of a colour picture": chunk(b"PLTE", bytes(9)),
}


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
@pytest.mark.parametrize("name", SIDE_CHUNKS)
def test_side_chunks_do_not_change_the_pixels(name: str) -> None:
    assert difference(with_chunks(PLAIN, SIDE_CHUNKS[name]), PLAIN) == 0


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
@pytest.mark.parametrize("name", SIDE_CHUNKS)
def test_nor_do_side_chunks_after_the_pixels(name: str) -> None:
    assert difference(PLAIN[:-12] + SIDE_CHUNKS[name] + PLAIN[-12:], PLAIN) == 0


@pytest.mark.parametrize("cut", [1, 4, 8, 11, 12, 13, 16, 18])
def test_a_png_without_its_end_is_decoded(cut: int) -> None:
    assert difference(PLAIN[:-cut], PLAIN) == 0


def test_what_stands_behind_the_end_costs_nothing() -> None:
    assert difference(PLAIN + b"IDAT" * 1_000 + PLAIN, PLAIN) == 0


def test_half_of_a_png_is_refused_by_its_name() -> None:
    failure = refusal(PLAIN[: len(PLAIN) // 2])
    assert failure.code == Code.IMAGE_UNREADABLE
    assert failure.message.startswith("the picture is a PNG that cannot be read")


@pytest.mark.parametrize("name", [b"IHDR", b"PLTE"])
def test_a_damaged_header_or_palette_is_refused(name: bytes) -> None:
    data = bytearray(encoded(photo().quantize(16), "PNG"))
    data[data.index(name) + 8] ^= 1
    assert refusal(bytes(data)).code == Code.IMAGE_UNREADABLE


def test_what_decides_the_look_stays() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = decode(encoded(photo(60, 40), "PNG", exif=exif), LIMITS)
    assert (turned.width, turned.height) == (40, 60)
    clear = encoded(Image.new("RGB", (40, 40), "red"), "PNG", transparency=(255, 0, 0))
    assert pixels(clear).min() == 255


def test_a_profile_of_more_than_a_megabyte_is_read() -> None:
    profile = np.random.default_rng(2).bytes(2_000_000)
    assert read_png(with_chunks(PLAIN, profile_chunk(profile))).profile == profile
    assert read_png(with_chunks(PLAIN, profile_chunk(bytes(4_000_001)))).profile is None


def test_frames_are_left_out_of_the_still_picture() -> None:
    moving = encoded(photo(), "PNG", save_all=True, append_images=[photo(seed=1)])
    found = read_png(moving)
    assert found.animation is not None
    assert b"acTL" in found.animation
    assert b"acTL" not in found.data
    assert read_png(PLAIN).animation is None


def test_many_small_chunks_end_the_walk() -> None:
    assert len(read_png(PLAIN[:33] + chunk(b"tEXt", b"") * 300_000 + PLAIN[33:]).data) < len(PLAIN)
