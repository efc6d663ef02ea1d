"""Image files: recognise the format, keep what matters, and open it with the one decoder of that format."""

import importlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from io import BytesIO

from PIL import AvifImagePlugin, Image, ImageChops, UnidentifiedImageError
from PIL.TiffImagePlugin import TiffImageFile

from infra.images import formats
from infra.images.containers import MISSING_DIVISOR, read_boxes, read_webp, webp_size
from infra.images.formats import FORMAT_NAMES, MAGIC_BYTES, ImageFormat
from infra.images.jpeg import JpegFile, read_jpeg
from infra.images.jpeg_xl import decode_jpeg_xl, read_size
from infra.images.png import read_png
from infra.images.tiff import decoding_bytes, picture_pages
from schemas.failures import Code, Rejected

DECODER_THREADS = 1
"""The pool has a process for each core; further threads would take address space from the picture."""

MAX_PIXELS = {
    formats.WEBP: 50_000_000,  # 16 bytes and 29 ns a pixel
    formats.HEIC: 80_000_000,  # 9 bytes and 43 ns
    formats.AVIF: 70_000_000,  # 9 bytes, 12 with 10 bits a sample, and 30 ns
    formats.JPEG_XL: 60_000_000,  # 9 bytes and 49 ns
}
"""Most pixels of formats whose decoders need more memory or time than a process has; measured, see DECISIONS.md."""
MAX_SCAN_SAMPLES = 1_500_000_000
"""Samples of a JPEG, counted in each of its scans; each takes 0.7 to 2.5 ns of a core, so these up to 3.8 s.

A progressive photo of 100 megapixels has 800 or 1,400 million; a file of 94 kB can have a thousand scans."""
MAX_COEFFICIENT_BYTES = 620_000_000
"""Memory that the scans of a progressive JPEG may need; one of 100 megapixels has 300 or 600 million bytes."""
MAX_TIFF_BYTES = 850_000_000
"""Memory that a TIFF may need; libtiff reports a lack of memory as damage."""
MAX_MISSING_LINE_SHARE = 1 / 16
"""Share of the lines of a JPEG that may be missing at its end; one row of MCUs may always be."""
PROBE = bytes(1 + n * 37 % 254 for n in range(4_096))
"""Bytes without a marker that stand for any data: lines that they change have not arrived."""
PROBE_PIXELS = 25_000_000

PRIVATE_TEXT = re.compile(r"<[^>]*>|b(['\"]).*?\1|0x[0-9a-fA-F]+")
"""Parts of decoders' messages that must not be disclosed: objects of this process, addresses, bytes of the file."""
DETAILS = re.compile(r" \(\d+ bytes not processed\)| when reading image file| \(points to .*")
"""Parts of decoders' messages that help nobody."""


@dataclass(frozen=True)
class ImageFile:
    """A picture whose header is read. `animation` is a PNG that also has the further frames, if there are any."""

    image: Image.Image
    format: ImageFormat
    animation: bytes | None = None


def open_image(data: bytes, max_pixels: int, min_side: int) -> ImageFile:
    """Read the header of a picture and check its size, before any pixel is decoded; raises Rejected."""
    found = formats.format_of(data[:MAGIC_BYTES])
    if found is None:
        raise _unknown_format(data)
    limit = min(max_pixels, MAX_PIXELS.get(found, max_pixels))
    with naming_format(found):
        if found is formats.JPEG_XL:
            return _open_jpeg_xl(data, limit, min_side)
        if found is formats.JPEG:
            return _open_jpeg(data, limit, min_side)
        animation = profile = None
        if found is formats.PNG:
            png = read_png(data)
            data, animation, profile = png.data, png.animation, png.profile
        elif found is formats.WEBP:
            data = read_webp(data)
            check_size(webp_size(data), limit, min_side, found)
        elif found in (formats.HEIC, formats.AVIF):
            data = read_boxes(data)
        else:
            data += bytes(len(data) // MISSING_DIVISOR)  # PIL passes over what is too much
        image = open_with_codec(data, found)
        if isinstance(image, TiffImageFile):
            image.seek(picture_pages(image, limit)[0])
        check_size(image.size, limit, min_side, found)
        if isinstance(image, TiffImageFile) and decoding_bytes(image) > MAX_TIFF_BYTES:
            raise Rejected(Code.IMAGE_TOO_LARGE, "the picture takes too much memory to decode: reduce it")
        if profile:
            image.info["icc_profile"] = profile
        return ImageFile(image, found, animation)


@contextmanager
def naming_format(image_format: ImageFormat) -> Iterator[None]:
    """Turn every exception of a decoder, of which there are many kinds, into a Rejected that names the format."""
    try:
        yield
    except (Rejected, MemoryError):
        raise
    except Exception as error:
        words = DETAILS.sub("", PRIVATE_TEXT.sub("...", str(error)))
        lines = words.splitlines() or [type(error).__name__]
        raise _unreadable(image_format, lines[0][:120].strip(" .")) from error


def open_with_codec(data: bytes, image_format: ImageFormat) -> Image.Image:
    """Open data with the decoder of one format, whatever it begins with; raises Rejected if it is not installed."""
    try:
        _load_codec(image_format)
    except ImportError:
        message = (
            f"the picture is {_with_article(image_format)}, which cannot be decoded on this machine: send a JPEG"
        )
        raise Rejected(Code.IMAGE_FORMAT, message) from None
    try:
        return Image.open(BytesIO(data), formats=(image_format.codec,))
    except UnidentifiedImageError:
        raise _unreadable(image_format, "its header is damaged or of a rare kind") from None


def check_size(size: tuple[int, int], max_pixels: int, min_side: int, image_format: ImageFormat) -> None:
    """Raise Rejected if a picture has too many pixels, or a side is too short."""
    width, height = size
    if width * height > max_pixels:
        kind = f" in a {image_format.name}" if image_format in MAX_PIXELS else ""
        message = f"the picture is {width} x {height}, at most {max_pixels:,} pixels are taken{kind}: reduce it"
        raise Rejected(Code.IMAGE_TOO_LARGE, message)
    if min(size) < min_side:
        message = f"the picture is {width} x {height}, each side must have at least {min_side} pixels"
        raise Rejected(Code.IMAGE_TOO_SMALL, message)


def _open_jpeg_xl(data: bytes, max_pixels: int, min_side: int) -> ImageFile:
    check_size(read_size(data), max_pixels, min_side, formats.JPEG_XL)
    decoded = decode_jpeg_xl(data)
    if isinstance(decoded, bytes):
        return _open_jpeg(decoded, max_pixels, min_side)
    return ImageFile(decoded, formats.JPEG_XL)


def _open_jpeg(data: bytes, max_pixels: int, min_side: int) -> ImageFile:
    jpeg = read_jpeg(data)
    image = open_with_codec(jpeg.data, formats.JPEG)
    check_size(image.size, max_pixels, min_side, formats.JPEG)
    size = f"{image.width} x {image.height}"
    if jpeg.samples > MAX_SCAN_SAMPLES:
        message = f"the picture is {size} in so many scans that decoding takes too long: save it as a baseline JPEG"
        raise Rejected(Code.IMAGE_TOO_LARGE, message)
    if jpeg.coefficient_bytes > MAX_COEFFICIENT_BYTES:
        message = (
            f"the picture is {size}, too large for a progressive JPEG: save it as a baseline JPEG, or reduce it"
        )
        raise Rejected(Code.IMAGE_TOO_LARGE, message)
    if not jpeg.is_whole:
        _check_lines(jpeg)
        image = open_with_codec(jpeg.data + b"\xff\xd9", formats.JPEG)
    return ImageFile(image, formats.JPEG)


def _check_lines(jpeg: JpegFile) -> None:
    """Raise Rejected if more than the last lines of a JPEG without an end are missing.

    The decoder does not tell how far it came, it draws grey. So two continuations are tried: the lines that differ
    are those that have not arrived.
    """
    if jpeg.is_progressive and jpeg.lacks_last_bits_alone:
        return
    without_more, with_more = (_probe(jpeg, more) for more in (b"", PROBE))
    box = ImageChops.difference(without_more, with_more).getbbox()
    missing = round((1 - box[1] / without_more.height) * jpeg.height) if box else 0
    if missing > max(jpeg.mcu_height + 8, jpeg.height * MAX_MISSING_LINE_SHARE):
        raise _unreadable(formats.JPEG, f"it breaks off: about {missing} of its {jpeg.height} lines are missing")


def _probe(jpeg: JpegFile, more: bytes) -> Image.Image:
    """The picture in grey with a continuation, at an eighth of its size unless it is progressive."""
    image = open_with_codec(jpeg.data + more + b"\xff\xd9", formats.JPEG)
    if not jpeg.is_progressive or jpeg.width * jpeg.height > PROBE_PIXELS:
        image.draft("L", (1, 1))
    return image.convert("L")


@cache
def _load_codec(image_format: ImageFormat) -> None:
    """Import the plugin of a format, which PIL would otherwise do for all formats that it knows."""
    Image.MAX_IMAGE_PIXELS = None  # `check_size` refuses by the limits of the request, in words for its sender.
    if image_format is formats.HEIC:
        import pillow_heif

        # A thumbnail in the file may be of another picture, so it is never decoded in place of it.
        pillow_heif.register_heif_opener(
            thumbnails=False, depth_images=False, aux_images=False, decode_threads=DECODER_THREADS
        )
        return
    importlib.import_module(f"PIL.{PLUGINS[image_format]}ImagePlugin")
    if image_format is formats.AVIF:
        AvifImagePlugin.DEFAULT_MAX_THREADS = DECODER_THREADS


PLUGINS = {
    formats.JPEG: "Jpeg", formats.PNG: "Png", formats.WEBP: "WebP", formats.GIF: "Gif", formats.AVIF: "Avif",
    formats.TIFF: "Tiff", formats.BMP: "Bmp",
}  # fmt: skip


def _unknown_format(data: bytes) -> Rejected:
    kind = formats.other_kind(data[:MAGIC_BYTES])
    what = f"the picture is {kind}, not a" if kind else "the picture is not a"
    return Rejected(Code.IMAGE_FORMAT, f"{what} {FORMAT_NAMES}: send one of these, whole")


def _unreadable(image_format: ImageFormat, why: str) -> Rejected:
    message = f"the picture is {_with_article(image_format)} that cannot be read ({why}): send it again, whole"
    return Rejected(Code.IMAGE_UNREADABLE, message)


def _with_article(image_format: ImageFormat) -> str:
    return f"{'an' if image_format.name[0] in 'A' else 'a'} {image_format.name}"
