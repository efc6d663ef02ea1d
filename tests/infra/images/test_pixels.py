"""Pixels of every depth, and pictures that are reduced by strips."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from infra.images.decode import decode
from infra.images.pixels import reduce_image
from tests.infra.images.drawn import LIMITS, encoded, noise, photo

Encode = Callable[[Image.Image], bytes]
DEEP: dict[str, Encode] = {
    "PNG": lambda image: encoded(image, "PNG"),
    "TIFF": lambda image: encoded(image, "TIFF"),
    "TIFF, big-endian": lambda image: encoded(Image.fromarray(np.asarray(image).astype(">u2")), "TIFF"),
    "TIFF, LZW": lambda image: encoded(image, "TIFF", compression="tiff_lzw"),
    "TIFF, deflate": lambda image: encoded(image, "TIFF", compression="tiff_adobe_deflate"),
}


def grey(data: bytes) -> NDArray[np.float64]:
    return np.asarray(decode(data, LIMITS).image.convert("L"), np.float64)


@pytest.mark.parametrize("kind", DEEP)
@pytest.mark.parametrize("side", [64, 640])
def test_sixteen_bits_of_grey_are_scaled_whatever_the_size(kind: str, side: int) -> None:
    levels = np.random.default_rng(0).integers(20_000, 40_000, (side, side)).astype(np.uint16)
    assert abs(grey(DEEP[kind](Image.fromarray(levels))).mean() - levels.mean() / 257) < 0.5


@pytest.mark.parametrize("white", [1.0, 255.0, 65_535.0, 1e9])
def test_floats_are_shares_of_white_or_levels(white: float) -> None:
    levels = np.linspace(0, white, 64 * 64, dtype=np.float32).reshape(64, 64)
    found = grey(encoded(Image.fromarray(levels), "TIFF"))
    assert np.abs(found - levels / white * 255).max() <= 1


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf, -5.0, 1e30])
def test_odd_floats_do_no_harm(odd: float) -> None:
    levels = np.full((32, 32), 0.5, np.float32)
    levels[0, 0] = odd
    assert grey(encoded(Image.fromarray(levels), "TIFF")).shape == (32, 32)


@pytest.mark.parametrize("top", [65_535, 1_000_000, 2**31 - 1])
def test_levels_of_thirty_two_bits_are_scaled(top: int) -> None:
    levels = np.linspace(0, top, 32 * 32).astype(np.int32).reshape(32, 32)
    found = grey(encoded(Image.fromarray(levels, "I"), "TIFF"))
    assert abs(found.mean() - 127.5) < 2


def test_white_is_zero_in_a_scan_of_sixteen_bits() -> None:
    levels = np.full((32, 32), 60_000, np.uint16)
    data = encoded(Image.fromarray(levels), "TIFF", tiffinfo={262: 0})
    assert grey(data).max() < 30


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I;16", "I", "F"])
@pytest.mark.parametrize("factor", [2, 3, 7])
def test_a_picture_reduced_by_strips_is_the_mean_of_its_pixels(mode: str, factor: int) -> None:
    image = photo(301, 207).convert("L" if mode in ("I;16", "I", "F") else "RGB").convert(mode)
    whole = reduce_image(image, 1).reduce(factor)
    assert reduce_image(image, factor).tobytes() == whole.tobytes()
    assert reduce_image(image, factor).mode == whole.mode


def test_strips_meet_without_a_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    image = noise(101, 99)
    monkeypatch.setattr("infra.images.pixels.STRIP_PIXELS", 1_000)
    assert reduce_image(image, 3).tobytes() == image.reduce(3).tobytes()


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("kind", ["TIFF", "AVIF", "HEIF", "JPEG", "PNG", "WEBP"])
def test_a_large_picture_is_upright_in_every_format(kind: str, turn: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = turn
    found = decode(encoded(photo(640, 352), kind, exif=exif), LIMITS)
    sideways = turn >= 5
    assert (found.width, found.height) == ((352, 640) if sideways else (640, 352))
    assert (found.image.width < found.image.height) is sideways
