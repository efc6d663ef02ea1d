"""Every kind of pixels that a shop or a phone may send, and the colours that must come out."""

import struct
import zlib
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from numpy.typing import ArrayLike
from PIL import Image

from infra.images.decode import DecodeLimits, decode
from schemas.searches import Crop

Encode = Callable[..., bytes]
Colour = tuple[int, int, int]
RED, BLUE, WHITE = (255, 0, 0), (0, 0, 255), (255, 255, 255)

UNDO = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}  # fmt: skip
"""From upright to how a camera stores it, by the turn that its EXIF then names."""

GREY, RGB, PALETTE, GREY_ALPHA, RGB_ALPHA = 0, 2, 3, 4, 6
"""Colour types of PNG."""


def halves(left: float | Sequence[int], right: float | Sequence[int], mode: str = "RGB") -> Image.Image:
    """40 x 40, one colour at the left, the other at the right."""
    pixels = np.repeat(np.array([[left] * 20 + [right] * 20], np.uint8), 40, axis=0)
    return Image.fromarray(pixels, mode)


def quarters(width: int, height: int) -> Image.Image:
    """Red, green, blue and yellow, from the upper left in the order of reading."""
    image = Image.new("RGB", (width, height), "red")
    image.paste((0, 255, 0), (width // 2, 0, width, height // 2))
    image.paste("blue", (0, height // 2, width // 2, height))
    image.paste("yellow", (width // 2, height // 2, width, height))
    return image


def colours_of(data: bytes) -> tuple[Colour, Colour]:
    """The colours in the left and in the right half of an encoded picture."""
    image = decode(data, DecodeLimits()).image
    assert image.mode == "RGB"
    left, right = np.asarray(image)[image.height // 2, [image.width // 4, image.width * 3 // 4]].tolist()
    return tuple(left), tuple(right)


def png(depth: int, kind: int, left: Sequence[int], right: Sequence[int], **chunks: bytes) -> bytes:
    """A PNG of 32 x 32, of samples as they are: PIL writes neither 2 bits nor 48."""

    def chunk(name: str, body: bytes) -> bytes:
        named = name.encode() + body
        return struct.pack(">I", len(body)) + named + struct.pack(">I", zlib.crc32(named))

    bits = "".join(f"{sample:0{depth}b}" for half in (left, right) for sample in [*half] * 16)
    row = int(bits, 2).to_bytes(len(bits) // 8)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk("IHDR", struct.pack(">IIBBBBB", 32, 32, depth, kind, 0, 0, 0))
        + b"".join(chunk(name, body) for name, body in chunks.items())
        + chunk("IDAT", zlib.compress((b"\0" + row) * 32))
        + chunk("IEND", b"")
    )


def near(one: ArrayLike, other: ArrayLike, by: float = 2) -> bool:
    return bool(np.abs(np.subtract(one, other, dtype=float)).max() <= by)


@pytest.mark.parametrize(("depth", "sample"), [(1, 1), (2, 2), (4, 7), (8, 77), (16, 0x4D4D)])
def test_a_grey_png_of_any_depth_keeps_its_brightness(depth: int, sample: int) -> None:
    left, right = colours_of(png(depth, GREY, [sample], [0]))
    assert near(left, [sample / (2**depth - 1) * 255] * 3, by=1)
    assert right == (0, 0, 0)


def test_a_png_of_48_bits_keeps_its_colours() -> None:
    assert near(colours_of(png(16, RGB, [0x4080, 0x8000, 0xFFFF], [0xC000, 0, 0])), ((64, 128, 255), (192, 0, 0)))


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_a_palette_of_any_size_gives_its_colours(depth: int) -> None:
    assert colours_of(png(depth, PALETTE, [0], [1], PLTE=bytes([*RED, *BLUE]))) == (RED, BLUE)


@pytest.mark.parametrize("depth", [8, 16])
def test_parts_that_cannot_be_seen_are_white_and_half_seen_ones_paler(depth: int) -> None:
    full, half = 2**depth - 1, 2 ** (depth - 1)
    assert near(colours_of(png(depth, RGB_ALPHA, [full, 0, 0, full], [full, 0, 0, 0])), (RED, WHITE))
    assert near(
        colours_of(png(depth, RGB_ALPHA, [full, 0, 0, half], [0, 0, 0, half])), ((255, 127, 127), (127,) * 3)
    )
    assert near(colours_of(png(depth, GREY_ALPHA, [0, half], [0, 0])), ((127,) * 3, WHITE))


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_a_grey_that_is_named_transparent_becomes_white(depth: int) -> None:
    sample = 2**depth // 3
    assert colours_of(png(depth, GREY, [sample], [sample + 1], tRNS=struct.pack(">H", sample)))[0] == WHITE
    left, right = colours_of(png(depth, GREY, [sample], [2**depth - 1], tRNS=struct.pack(">H", 2**depth - 1)))
    assert near(left, [sample / (2**depth - 1) * 255] * 3, by=1)
    assert right == WHITE


@pytest.mark.parametrize("depth", [8, 16])
def test_a_colour_that_is_named_transparent_becomes_white(depth: int) -> None:
    green = [0, 200 << depth - 8, 3 << depth - 8]
    assert near(colours_of(png(depth, RGB, green, [0, 0, 0], tRNS=struct.pack(">HHH", *green))), (WHITE, (0, 0, 0)))


def test_a_palette_with_transparent_entries_becomes_white_there(encode: Encode) -> None:
    colours = bytes([*RED, *BLUE])
    assert near(colours_of(png(4, PALETTE, [0], [1], PLTE=colours, tRNS=b"\xff\x00")), (RED, WHITE))
    assert near(colours_of(png(4, PALETTE, [0], [1], PLTE=colours, tRNS=b"\x80\xff")), ((255, 127, 127), BLUE))
    assert colours_of(encode(halves((*RED, 255), (0, 0, 0, 0), "RGBA"), "GIF")) == (RED, WHITE)


def test_alpha_of_a_webp_becomes_white(encode: Encode) -> None:
    image = halves((*RED, 255), (*BLUE, 0), "RGBA")
    assert near(colours_of(encode(image, "WEBP", lossless=True, exact=True)), (RED, WHITE))


def test_a_grey_jpeg_keeps_its_brightness(encode: Encode) -> None:
    assert near(colours_of(encode(halves(77, 200, "L"), "JPEG")), ((77,) * 3, (200,) * 3))


def test_a_cmyk_jpeg_as_adobe_writes_it_keeps_its_colours(encode: Encode) -> None:
    data = encode(halves((0, 255, 255, 0), (255, 0, 0, 128), "CMYK"), "JPEG", quality=95)
    assert b"Adobe" in data, "this marker says that the inks are stored inverted"
    assert near(colours_of(data), (RED, (0, 127, 127)))


def test_an_ycck_jpeg_keeps_its_colours(encode: Encode) -> None:
    inks = np.asarray(halves((0, 255, 255), (255, 0, 0)).convert("YCbCr"))
    inverted = Image.fromarray(np.dstack([255 - inks, np.zeros((40, 40), np.uint8)]), "CMYK")
    data = bytearray(encode(inverted, "JPEG", quality=95))
    data[data.index(b"Adobe") + len(b"Adobe") + 6] = 2
    assert near(colours_of(bytes(data)), (RED, (0, 255, 255)), by=3)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_the_first_frame_of_a_moving_picture_counts(kind: str, encode: Encode) -> None:
    frames = {"save_all": True, "append_images": [halves(BLUE, RED)], "duration": 50}
    data = encode(halves(RED, BLUE), kind, **frames, **({"lossless": True} if kind == "WEBP" else {}))
    assert near(colours_of(data), (RED, BLUE))


def turned(image: Image.Image, turn: int, kind: str, encode: Encode) -> bytes:
    """The picture as a camera stores it that was held so."""
    exif = Image.Exif()
    exif[0x0112] = turn
    stored = image.transpose(UNDO[turn]) if turn in UNDO else image
    return encode(stored, kind, exif=exif, **({} if kind == "PNG" else {"quality": 95}))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("turn", range(1, 9))
def test_every_exif_turn_comes_out_upright(kind: str, turn: int, encode: Encode) -> None:
    picture = decode(turned(quarters(60, 40), turn, kind, encode), DecodeLimits())
    assert (picture.width, picture.height, picture.image.size) == (60, 40, (60, 40))
    corners = np.asarray(picture.image)[5:40:30, 5:60:50]
    assert near(corners, [[RED, (0, 255, 0)], [BLUE, (255, 255, 0)]], by=6)


@pytest.mark.parametrize("turn", range(1, 9))
def test_a_crop_names_a_part_of_the_upright_picture(turn: int, encode: Encode) -> None:
    data = turned(quarters(2400, 1600), turn, "JPEG", encode)
    picture = decode(data, DecodeLimits(), Crop(x=0.5, y=0.125, w=0.25, h=0.75))
    assert (picture.width, picture.height) == (600, 1200)
    assert picture.image.width * 2 == picture.image.height, "reduced or not, it keeps its shape"
    middle, height = picture.image.width // 2, picture.image.height
    upper_and_lower = np.asarray(picture.image)[[height // 8, height * 7 // 8], middle]
    assert near(upper_and_lower, [(0, 255, 0), (255, 255, 0)], by=6)
