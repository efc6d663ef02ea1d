"""Pixels: bring decoded pictures of every mode to 8 bits, reduce and turn them, and put them on white."""

import math
from collections.abc import Callable
from contextlib import suppress
from functools import cache

from PIL import Image, ImageChops

ORIENTATION_TAG = 0x0112
SIDEWAYS = (5, 6, 7, 8)
"""EXIF orientations that swap width and height."""
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What turns a stored picture upright, by its EXIF orientation."""

SAMPLE_SCALES = {"L;2": 255 / 3, "L;4": 255 / 15, "RGB;16B": 1 / 256}
"""Factors by which PIL scales PNG samples to 8 bits, by raw mode; it does not scale the transparent colour."""
WHITE_IS_ZERO = "white_is_zero"
"""Key in a picture's `info`: its grey levels are inverted, which PIL ignores above 8 bits."""
STRIP_PIXELS = 4_000_000
"""Pixels that are converted at a time: a copy of a whole large picture would not fit into a decoder process."""


def orientation_of(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8; 1 if there is none or the data are broken."""
    with suppress(Exception):
        found: int = image.getexif().get(ORIENTATION_TAG, 1)
        return found if found in TURNS else 1
    return 1


def turn_upright(image: Image.Image, orientation: int) -> Image.Image:
    """The picture turned from how it is stored to upright."""
    turn = TURNS.get(orientation)
    return image if turn is None else image.transpose(turn)


def scale_transparency(image: Image.Image) -> None:
    """Scale the transparent colour of a PNG to 8 bits, as PIL scales its pixels, before they are decoded."""
    tiles = getattr(image, "tile", None)
    scale = SAMPLE_SCALES.get(str(tiles[0].args)) if tiles else None
    colour = image.info.get("transparency")
    if scale and isinstance(colour, int):
        image.info["transparency"] = int(colour * scale)
    elif scale and isinstance(colour, tuple):
        image.info["transparency"] = tuple(int(sample * scale) for sample in colour)


def reduce_image(image: Image.Image, factor: int) -> Image.Image:
    """The picture in 8 bits, in a mode with channels, and reduced by an integer factor: the mean of the pixels."""
    convert = _converter(image)
    if factor == 1:
        return convert(image)
    rows = max(STRIP_PIXELS // image.width // factor, 1) * factor
    size = math.ceil(image.width / factor), math.ceil(image.height / factor)
    reduced: Image.Image | None = None
    for top in range(0, image.height, rows):
        strip = image.crop((0, top, image.width, min(top + rows, image.height)))
        part = convert(strip).reduce(factor)
        reduced = reduced or Image.new(part.mode, size)
        reduced.paste(part, (0, top // factor))
    return reduced or convert(image)


def on_white(image: Image.Image) -> Image.Image:
    """The picture in RGB; transparent parts become white."""
    if image.mode != "RGBA":
        return image.convert("RGB")
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image).convert("RGB")


def _converter(image: Image.Image) -> Callable[[Image.Image], Image.Image]:
    """The function that brings the picture, or a strip of it, to L, LA, RGB, RGBA, CMYK, YCbCr or LAB."""
    if image.mode == "F" or image.mode.startswith("I"):
        return _grey_converter(image)
    if image.mode in ("LA", "RGBA", "La", "RGBa"):
        target = image.mode.upper()
    elif image.has_transparency_data:
        target = "LA" if image.mode in ("1", "L") else "RGBA"
    else:
        target = {"1": "L", "P": "RGB", "PA": "RGB"}.get(image.mode, image.mode)
    return lambda strip: strip if strip.mode == target else strip.convert(target)


def _grey_converter(image: Image.Image) -> Callable[[Image.Image], Image.Image]:
    """The function that brings grey levels of 16 or 32 bits, or floats, to 8 bits; PIL would clip them at 255."""
    scale = _grey_scale(image)
    clear = image.info.get("transparency") if image.mode != "F" else None
    is_inverted = bool(image.info.get(WHITE_IS_ZERO))

    def convert(strip: Image.Image) -> Image.Image:
        if scale is None:
            levels = strip if strip.mode == "I" else strip.convert("I")
            grey = levels.point(_sixteen_bit_table(), "L")
        else:
            grey = strip.point(lambda level: level * scale + 0.5).convert("L")
        if is_inverted:
            grey = ImageChops.invert(grey)
        if isinstance(clear, int) and strip.mode != "F":
            grey.putalpha(strip.convert("I").point([255 * (n != clear) for n in range(1 << 16)], "L"))
        return grey

    return convert


def _grey_scale(image: Image.Image) -> float | None:
    """The factor from the picture's levels to 255; None for 16 bits, which a table converts.

    Floats are shares of white, or levels of 8 or 16 bits; larger levels are shares of the largest.
    """
    if image.mode.startswith("I;16"):
        return None
    extrema = image.getextrema()
    highest = float(extrema[1]) if isinstance(extrema[1], int | float) else 0.0
    if image.mode == "I":
        return None if highest < 1 << 16 else 255 / highest
    if not math.isfinite(highest) or highest <= 2:
        return 255.0
    return 1.0 if highest < 1 << 8 else 1 / 257 if highest < 1 << 16 else 255 / highest


@cache
def _sixteen_bit_table() -> list[int]:
    return [round(level / 257) for level in range(1 << 16)]
