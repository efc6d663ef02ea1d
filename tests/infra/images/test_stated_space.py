"""Stated colour spaces: the decoder follows PNG chunks, boxes of AVIF and HEIF, and EXIF."""

import struct
import zlib
from collections.abc import Callable
from io import BytesIO

import numpy as np
import pillow_heif
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from infra.images.colour_profile import profile_of, to_srgb
from infra.images.stated_space import avif_nclx, embedded_profile, png_cicp
from tests.infra.images.icc_profiles import (
    ADOBE_POINTS,
    BT2020_POINTS,
    D65,
    P3_POINTS,
    SRGB_CURVE,
    SRGB_POINTS,
    Curve,
    Doubles,
    colorants,
    linear,
    rgb_profile,
)

RED, TEAL = (196, 30, 42), (15, 128, 128)
Points = tuple[tuple[float, float], ...]


def in_space(colour: tuple[int, int, int], points: Points, curve: Curve) -> tuple[int, ...]:
    """The pixel of an sRGB colour in another space."""
    light = colorants(SRGB_POINTS, D65) @ linear(SRGB_CURVE, np.array(colour) / 255)
    samples: Doubles = np.linspace(0, 1, 10_000)
    encoded = np.interp(np.linalg.inv(colorants(points, D65)) @ light, linear(curve, samples), samples)
    return tuple(int(level) for level in np.round(encoded * 255))


def file(colour: tuple[int, ...], kind: str, **options: object) -> bytes:
    out = BytesIO()
    Image.new("RGB", (64, 64), colour).save(out, kind, quality=95, **options)
    return out.getvalue()


def png(colour: tuple[int, ...], **chunks: bytes) -> bytes:
    """A PNG with more chunks behind its header, by their names."""
    whole, start = file(colour, "PNG"), 8 + 25
    more = (
        struct.pack(">I", len(content))
        + name.encode()
        + content
        + struct.pack(">I", zlib.crc32(name.encode() + content))
        for name, content in chunks.items()
    )
    return whole[:start] + b"".join(more) + whole[start:]


def chromaticities(points: Points) -> bytes:
    return struct.pack(">8I", *(round(value * 100_000) for point in (D65, *points) for value in point))


def gamma(value: float) -> bytes:
    return struct.pack(">I", round(value * 100_000))


def assert_shows(data: bytes, colour: tuple[int, int, int], tolerance: int = 5) -> None:
    image = Image.open(BytesIO(data))
    result = np.asarray(to_srgb(image, profile_of(image, data)), int)[30, 30]
    assert np.abs(result - colour).max() <= tolerance, result


def with_nclx(data: bytes, primaries: int, transfer: int) -> bytes:
    """An AVIF with other numbers in its box of colours."""
    at = data.index(b"colrnclx") + 8
    return data[:at] + struct.pack(">HH", primaries, transfer) + data[at + 4 :]


@pytest.mark.parametrize("colour", [RED, TEAL])
@pytest.mark.parametrize("exponent", [1.0, 1.8, 2.6])
def test_a_png_with_a_gamma_is_decoded_by_it(exponent: float, colour: tuple[int, int, int]) -> None:
    assert_shows(png(in_space(colour, SRGB_POINTS, exponent), gAMA=gamma(1 / exponent)), colour)


@pytest.mark.parametrize("colour", [RED, TEAL])
def test_a_png_with_primaries_is_decoded_by_them(colour: tuple[int, int, int]) -> None:
    pixel = in_space(colour, ADOBE_POINTS, 2.2)
    assert_shows(png(pixel, gAMA=gamma(1 / 2.2), cHRM=chromaticities(ADOBE_POINTS)), colour)
    assert_shows(png(in_space(colour, P3_POINTS, SRGB_CURVE), cHRM=chromaticities(P3_POINTS)), colour)


def test_a_grey_png_with_a_gamma_is_decoded_by_it() -> None:
    data = png((100, 100, 100), gAMA=gamma(1.0))
    image = Image.open(BytesIO(data)).convert("L")
    image.info["gamma"] = 1.0
    result = np.asarray(to_srgb(image, profile_of(image, data)), int)[30, 30]
    assert np.abs(result - 168).max() <= 1


@pytest.mark.parametrize(
    "chunks",
    [
        {},
        {"gAMA": gamma(0.45455)},
        {"gAMA": gamma(0.45455), "cHRM": chromaticities(SRGB_POINTS)},
        {"sRGB": b"\0", "gAMA": gamma(1.0), "cHRM": chromaticities(ADOBE_POINTS)},
        {"gAMA": gamma(0.0)},
        {"gAMA": gamma(200)},
        {"cHRM": bytes(32)},
        {"cHRM": b"\xff" * 32},
        {"cHRM": struct.pack(">8I", *[33_000] * 8)},
        {"cICP": bytes((1, 13, 0, 1))},
        {"cICP": bytes((250, 13, 0, 1))},
        {"cICP": bytes((9, 250, 0, 1))},
        {"cICP": b"\t"},
    ],
)
def test_a_png_that_states_srgb_or_nonsense_keeps_every_byte(chunks: dict[str, bytes]) -> None:
    assert_shows(png(RED, **chunks), RED, tolerance=0)


@pytest.mark.parametrize("colour", [RED, TEAL])
@pytest.mark.parametrize(("primaries", "points"), [(9, BT2020_POINTS), (12, P3_POINTS)])
@pytest.mark.parametrize(("transfer", "curve"), [(13, SRGB_CURVE), (4, 2.2), (8, 1.0)])
def test_a_png_with_numbers_of_h_273_is_decoded_by_them(
    transfer: int, curve: Curve, primaries: int, points: Points, colour: tuple[int, int, int]
) -> None:
    assert_shows(png(in_space(colour, points, curve), cICP=bytes((primaries, transfer, 0, 1))), colour)


def test_the_numbers_of_a_png_count_more_than_its_profile() -> None:
    pixel = in_space(RED, P3_POINTS, SRGB_CURVE)
    whole = file(pixel, "PNG", icc_profile=rgb_profile(ADOBE_POINTS, 2.2))
    chunk = b"cICP" + bytes((12, 13, 0, 1))
    data = whole[:33] + struct.pack(">I", 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) + whole[33:]
    assert_shows(data, RED)


@pytest.mark.parametrize("transfer", [16, 18])
def test_white_of_an_hdr_picture_is_white(transfer: int) -> None:
    level = {16: round(0.5806 * 255), 18: round(0.75 * 255)}[transfer]  # 203 nits. Source: Report ITU-R BT.2408.
    assert_shows(png((level,) * 3, cICP=bytes((9, transfer, 0, 1))), (255, 255, 255), tolerance=4)
    assert_shows(png((255,) * 3, cICP=bytes((9, transfer, 0, 1))), (255, 255, 255), tolerance=1)
    assert_shows(png((0, 0, 0), cICP=bytes((9, transfer, 0, 1))), (0, 0, 0), tolerance=1)


@pytest.mark.parametrize("colour", [RED, TEAL])
@pytest.mark.parametrize(("primaries", "points"), [(1, SRGB_POINTS), (9, BT2020_POINTS), (12, P3_POINTS)])
def test_an_avif_is_decoded_by_its_primaries(primaries: int, points: Points, colour: tuple[int, int, int]) -> None:
    data = with_nclx(file(in_space(colour, points, SRGB_CURVE), "AVIF"), primaries, 13)
    assert avif_nclx(data) == (primaries, 13)
    assert_shows(data, colour, tolerance=12)


@pytest.mark.parametrize("colour", [RED, TEAL])
@pytest.mark.parametrize(("primaries", "points"), [(1, SRGB_POINTS), (9, BT2020_POINTS), (12, P3_POINTS)])
def test_a_heic_is_decoded_by_its_primaries(primaries: int, points: Points, colour: tuple[int, int, int]) -> None:
    out = BytesIO()
    pixel = in_space(colour, points, SRGB_CURVE)
    heif = pillow_heif.from_pillow(Image.new("RGB", (64, 64), pixel))
    heif.save(
        out, quality=95, color_primaries=primaries, transfer_characteristics=13, matrix_coefficients=6,
        full_range_flag=1,
    )  # fmt: skip
    assert avif_nclx(out.getvalue()) == (primaries, 13)
    image = pillow_heif.open_heif(out.getvalue()).to_pillow()
    for data in (b"", out.getvalue()):
        result = np.asarray(to_srgb(image, profile_of(image, data)), int)[30, 30]
        assert np.abs(result - colour).max() <= 12


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize(
    ("value", "index"), [(2, None), (0xFFFF, "R03"), (0xFFFF, "R98"), (0xFFFF, None), (1, None)]
)
def test_exif_states_adobe_rgb(value: int, index: str | None, kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 1
    exif.get_ifd(0x8769).update({0xA001: value} | ({0xA005: {1: index}} if index else {}))
    exif[0x8769] = 0  # PIL writes this IFD into a TIFF only if its tag has a value.
    is_adobe = value == 2 or index == "R03"
    pixel = in_space(RED, ADOBE_POINTS, 563 / 256) if is_adobe else RED
    assert_shows(file(pixel, kind, exif=exif), RED, tolerance=6)


def test_a_profile_counts_more_than_exif() -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA001] = 2
    data = file(
        in_space(RED, P3_POINTS, SRGB_CURVE), "PNG", exif=exif, icc_profile=rgb_profile(P3_POINTS, SRGB_CURVE)
    )
    assert_shows(data, RED)


def bmp(profile: bytes) -> bytes:
    """A BMP of version 5, as ImageMagick writes it, with a profile behind its pixels."""
    pixels = file(in_space(RED, ADOBE_POINTS, 2.2), "BMP")[54:]
    header = struct.pack("<IiiHHIIiiII", 124, 64, 64, 1, 24, 0, len(pixels), 2835, 2835, 0, 0)
    header += bytes(16) + b"DEBM" + bytes(48) + struct.pack("<IIII", 4, 124 + len(pixels), len(profile), 0)
    return struct.pack("<2sIII", b"BM", 138 + len(pixels) + len(profile), 0, 138) + header + pixels + profile


def gif(profile: bytes) -> bytes:
    """A GIF with a profile in front of its pixels."""
    whole = file(in_space(RED, ADOBE_POINTS, 2.2), "GIF")
    blocks = b"".join(
        bytes((len(part),)) + part for part in (profile[n : n + 255] for n in range(0, len(profile), 255))
    )
    at = whole.index(b",", 13 + 3 * 2 ** ((whole[10] & 7) + 1))
    return whole[:at] + b"!\xff\x0bICCRGBG1012" + blocks + b"\0" + whole[at:]


@pytest.mark.parametrize("make", [bmp, gif])
def test_a_profile_that_pil_does_not_read_is_found(make: Callable[[bytes], bytes]) -> None:
    profile = rgb_profile(ADOBE_POINTS, 2.2)
    data = make(profile)
    assert embedded_profile(data) == profile
    assert_shows(data, RED)
    for cut in range(0, len(data), 29):
        embedded_profile(data[:cut])


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_no_damage_to_what_is_stated_raises(data: st.DataObject) -> None:
    whole = bytearray(data.draw(st.sampled_from(DAMAGED)))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, min(len(whole) - 1, 400)))] = data.draw(st.integers(0, 255))
    part = bytes(whole[: data.draw(st.integers(0, len(whole)))])
    for numbers in (png_cicp(part), avif_nclx(part)):
        assert numbers is None or len(numbers) == 2


DAMAGED = [png(RED, cICP=bytes((9, 13, 0, 1))), file(RED, "AVIF")]
