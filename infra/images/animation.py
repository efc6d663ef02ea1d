"""Animation: choose the frame of an animation, or the page of a TIFF, that shows something, and decode it."""

from contextlib import suppress

from PIL import Image, ImageStat
from PIL.TiffImagePlugin import TiffImageFile

from infra.images import formats
from infra.images.image_file import ImageFile, open_with_codec
from infra.images.pixels import on_white, reduce_image, scale_transparency
from infra.images.tiff import load_page, picture_pages

ANIMATED_FORMATS = (formats.GIF, formats.WEBP, formats.AVIF)
MAX_FRAMES = 32
"""Frames of an animation, or pages of a TIFF, that are looked at."""
MAX_FRAME_PIXELS = 200_000_000
"""Pixels that are decoded in all to find a frame that is not blank, about 1 s."""
BLANK_RANGE = 8
"""Levels, of 255, within which a channel of a blank frame lies; compression alone can cause them."""


def load_frame(file: ImageFile, max_pixels: int) -> Image.Image:
    """Decode the first frame, or the first of the next ones that shows something if it is of one colour.

    Of a TIFF it is the largest page of at most `max_pixels` pixels; another one only if that is blank.
    """
    image = file.image
    if isinstance(image, TiffImageFile):
        return _load_page(image, max_pixels)
    scale_transparency(image)
    image.load()
    if file.animation is not None and is_blank(image):
        return _next_frame(open_with_codec(file.animation, formats.PNG)) or image
    if file.format in ANIMATED_FORMATS and getattr(image, "is_animated", False) and _next_frame(image) is None:
        image.seek(0)
        image.load()
    return image


def is_blank(image: Image.Image) -> bool:
    """Whether a decoded frame is of one colour, or wholly transparent."""
    plain = reduce_image(image, 1)
    if plain.mode in ("LA", "RGBA"):
        plain = on_white(plain.convert("RGBA"))
    return all(highest - lowest <= BLANK_RANGE for lowest, highest in ImageStat.Stat(plain).extrema)


def _next_frame(image: Image.Image) -> Image.Image | None:
    """The first frame that is not blank; None if there is none among those that are looked at."""
    with suppress(Exception):  # of the last frame, or of a broken one
        for number in range(_frame_count(image)):
            image.seek(number)
            image.load()
            if not is_blank(image):
                return image
    return None


def _load_page(image: TiffImageFile, max_pixels: int) -> Image.Image:
    """Decode the largest page, or the first of the others that shows something if it is blank."""
    pages = picture_pages(image, max_pixels)
    for number in pages[: _frame_count(image)] if len(pages) > 1 else ():
        if not is_blank(load_page(image, number)):
            return image
    return load_page(image, pages[0])


def _frame_count(image: Image.Image) -> int:
    return min(MAX_FRAMES, MAX_FRAME_PIXELS // (image.width * image.height))
