"""Colour profiles: pixels become sRGB by any usable profile, and stay as they are by any other."""

from io import BytesIO

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageCms

from consumers.vision.colour import ColourExtractor, make_colour_extractor
from infra.images.colour_profile import profile_of, to_srgb
from infra.images.colour_space import MAX_PROFILE_BYTES
from tests.evaluation.colour_profiles import PRODUCT_COLOURS, name_colours, profiles
from tests.infra.images.icc_profiles import (
    ADOBE_POINTS,
    D50_XY,
    D65,
    PROPHOTO_POINTS,
    SRGB_CURVE,
    SRGB_POINTS,
    colorants,
    curve_tag,
    grey_profile,
    ink_profile,
    linear,
    profile,
    rgb_profile,
    rgb_spaces,
    xyz,
)

SPACES = ("ProPhoto RGB", "Adobe RGB", "Apple RGB", "Rec. 2020", "Display P3", "SWOP")
SRGB_PROFILES = {
    "table of 1,024 points": rgb_profile(SRGB_POINTS, SRGB_CURVE),
    "parametric curve": rgb_profile(SRGB_POINTS, SRGB_CURVE, version=4),
    "littlecms": ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
    "none": None,
}
ADOBE = rgb_profile(ADOBE_POINTS, 563 / 256)
FLAT = profile(
    {name: xyz(np.zeros(3)) for name in (b"rXYZ", b"gXYZ", b"bXYZ")}
    | dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve_tag(2.2, 2)),
    b"RGB ",
)
UNUSABLE = {
    "empty": b"",
    "text": b"no profile at all" * 20,
    "header alone": ADOBE[:128],
    "half": ADOBE[: len(ADOBE) // 2],
    "without tags": ADOBE[:128] + bytes(4),
    "no colorants": FLAT,
    "larger than any": ADOBE + bytes(MAX_PROFILE_BYTES),
    "of greys": grey_profile(1.8),
    "of inks": ink_profile(),
    "device link": rgb_profile(ADOBE_POINTS, 1.8, kind=b"link"),
    "abstract": rgb_profile(ADOBE_POINTS, 1.8, kind=b"abst"),
    "named colours": rgb_profile(ADOBE_POINTS, 1.8, kind=b"nmcl"),
    "of Lab": profile({}, b"Lab ", kind=b"spac"),
}


def colourful(mode: str = "RGB", side: int = 24) -> Image.Image:
    pixels = np.random.default_rng(3).integers(0, 256, (side, side, 4), np.uint8)
    image = Image.fromarray(pixels, "RGBA")
    return image if mode == "RGBA" else image.convert("RGB").convert(mode)


def middle(image: Image.Image) -> NDArray[np.int64]:
    """The pixel in the middle."""
    pixel: NDArray[np.int64] = np.asarray(image, np.int64)[image.height // 2, image.width // 2]
    return pixel


def test_each_space_of_the_figure_is_tested() -> None:
    assert set(SPACES) == set(profiles())
    assert len(PRODUCT_COLOURS) == 28


@pytest.fixture(scope="module")
def colours() -> ColourExtractor:
    return make_colour_extractor()


@pytest.mark.parametrize("space", SPACES)
def test_28_product_colours_have_their_names_in_each_space(space: str, colours: ColourExtractor) -> None:
    named = {name: name_colours(profiles()[space], code, colours) for name, code in PRODUCT_COLOURS.items()}
    assert {name: found for name, found in named.items() if not found.is_same} == {}


@pytest.mark.parametrize("kind", SRGB_PROFILES)
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_an_srgb_picture_keeps_every_byte(mode: str, kind: str) -> None:
    image = colourful(mode)
    result = to_srgb(image, SRGB_PROFILES[kind])
    assert (result.mode, result.tobytes()) == (image.mode, image.tobytes())


@pytest.mark.parametrize("kind", UNUSABLE)
def test_an_unusable_profile_changes_nothing(kind: str) -> None:
    image = colourful()
    assert to_srgb(image, UNUSABLE[kind]).tobytes() == image.tobytes()


@pytest.mark.parametrize("kind", [b"mntr", b"scnr", b"prtr", b"spac"])
@pytest.mark.parametrize("version", [2, 4])
def test_displays_scanners_printers_and_spaces_have_profiles(kind: bytes, version: int) -> None:
    space = rgb_profile(PROPHOTO_POINTS, 1.8, D50_XY, version=version, kind=kind)
    red = np.array((0xC4, 0x1E, 0x2A))
    light = colorants(SRGB_POINTS, D65) @ linear(SRGB_CURVE, red / 255)
    encoded = np.round((np.linalg.inv(colorants(PROPHOTO_POINTS, D50_XY)) @ light) ** (1 / 1.8) * 255)
    result = to_srgb(Image.new("RGB", (16, 16), tuple(encoded.astype(int))), space)
    assert np.abs(middle(result) - red).max() <= 3


@settings(max_examples=60, deadline=None)
@given(at=st.integers(0, 10_000), value=st.integers(0, 255), cut=st.integers(0, 400), which=st.sampled_from(SPACES))
def test_no_damage_to_a_profile_raises(at: int, value: int, cut: int, which: str) -> None:
    whole = bytearray(profiles()[which])
    whole[at % min(len(whole), 600)] = value
    image = colourful("CMYK" if which == "SWOP" else "RGB")
    result = to_srgb(image, bytes(whole[: len(whole) - cut]))
    assert (result.mode, result.size) == ("RGB", image.size)


@pytest.mark.parametrize("gamma", [1.8, 2.2, 2.6])
@pytest.mark.parametrize("version", [2, 4])
def test_a_grey_picture_has_a_profile_of_greys(gamma: float, version: int) -> None:
    levels = np.arange(0, 256, dtype=np.uint8).reshape(16, 16)
    result = np.asarray(to_srgb(Image.fromarray(levels), grey_profile(gamma, version)), int)
    expected = np.interp(
        linear(gamma, levels / 255), linear(SRGB_CURVE, np.linspace(0, 1, 4096)), np.linspace(0, 255, 4096)
    )
    assert np.abs(result - expected[..., None]).max() <= 2


def test_a_grey_picture_of_an_rgb_space_stays_grey_and_follows_its_curve() -> None:
    space = rgb_profile(PROPHOTO_POINTS, 1.8, D50_XY)
    red, green, blue = middle(to_srgb(Image.new("L", (16, 16), 100), space))
    assert red == green == blue == pytest.approx(118, abs=1)
    grey = colourful("L")
    assert to_srgb(grey, SRGB_PROFILES["littlecms"]).tobytes() == grey.convert("RGB").tobytes()


@pytest.mark.parametrize("mode", ["1", "L", "P", "YCbCr", "HSV", "CMYK", "I", "F", "RGB"])
def test_every_mode_without_a_profile_is_converted_as_by_pil(mode: str) -> None:
    image = colourful(mode)
    expected = image.convert("L").convert("RGB") if mode in ("I", "F") else image.convert("RGB")
    assert to_srgb(image, None).tobytes() == expected.tobytes()


@pytest.mark.parametrize("mode", ["P", "YCbCr", "RGBX"])
def test_every_mode_of_colours_goes_through_the_profile(mode: str) -> None:
    image = Image.new("RGB", (32, 32), (160, 60, 50)).convert(mode)
    expected = to_srgb(image.convert("RGB"), ADOBE)
    assert to_srgb(image, ADOBE).tobytes() == expected.tobytes() != image.convert("RGB").tobytes()


@pytest.mark.parametrize(("mode", "space"), [("RGBA", ADOBE), ("LA", grey_profile(1.8)), ("PA", ADOBE)])
def test_transparency_is_unchanged(mode: str, space: bytes) -> None:
    alpha = Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16))
    image = Image.new("RGB", (16, 16), (160, 60, 50)).convert(mode.removesuffix("A") if mode != "RGBA" else "RGB")
    image.putalpha(alpha)
    assert image.mode == mode
    result = to_srgb(image, space)
    assert result.mode == "RGBA"
    assert result.getchannel("A").tobytes() == alpha.tobytes()
    assert result.convert("RGB").tobytes() != image.convert("RGB").tobytes()


@pytest.mark.parametrize(("mode", "colour"), [("RGB", (160, 60, 50)), ("L", 90), ("P", 3)])
def test_one_transparent_colour_becomes_transparency(mode: str, colour: int | tuple[int, ...]) -> None:
    image = Image.new(mode, (16, 16), colour)
    image.paste(0 if mode != "RGB" else (0, 0, 0), (0, 0, 8, 16))
    image.info["transparency"] = colour
    alpha = to_srgb(image, grey_profile(1.8) if mode == "L" else ADOBE).getchannel("A")
    assert (alpha.getpixel((2, 2)), alpha.getpixel((12, 12))) == (255, 0)


def test_lab_becomes_srgb() -> None:
    out = BytesIO()
    lab = ImageCms.ImageCmsTransform(
        ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")),
        ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")),
        "RGB",
        "LAB",
    )
    lab.apply(Image.new("RGB", (16, 16), (196, 30, 42))).save(out, "TIFF")
    image = Image.open(out)
    assert image.mode == "LAB"
    assert np.abs(middle(to_srgb(image, profile_of(image))) - (196, 30, 42)).max() <= 4


def test_the_result_carries_no_profile_of_another_space() -> None:
    image = colourful()
    image.info["icc_profile"] = ADOBE
    assert "icc_profile" not in to_srgb(image, ADOBE).info
    assert image.info["icc_profile"] == ADOBE


def test_a_profile_that_swaps_channels_is_used() -> None:
    red, green, blue = SRGB_POINTS
    swapped = rgb_profile((green, red, blue), SRGB_CURVE)
    assert middle(to_srgb(Image.new("RGB", (8, 8), (0, 200, 0)), swapped)).tolist() == [200, 0, 0]


@pytest.mark.parametrize("space", rgb_spaces())
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP", "AVIF"])
def test_a_file_hands_over_its_profile(kind: str, space: str) -> None:
    out = BytesIO()
    colourful().save(out, kind, icc_profile=rgb_spaces()[space])
    assert profile_of(Image.open(out), out.getvalue()) == rgb_spaces()[space]
