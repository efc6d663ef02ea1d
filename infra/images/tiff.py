"""TIFF files: which of their pages is the picture."""

from contextlib import suppress

from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from infra.images.pixels import WHITE_IS_ZERO
from schemas.failures import Code, Rejected

MAX_PAGES = 32
MIN_PAGE_SHARE = 4
"""A page with less than this part of the pixels of the largest page is a preview."""
REDUCED_PAGE, MASK_PAGE = 1, 4
"""Bits of the NewSubfileType: a smaller copy of another page, and a mask of one."""
SUBFILE_TYPE_TAG, PHOTOMETRIC_TAG = 254, 262
BITS_TAG, ROWS_TAG, TILE_TAG = 258, 278, 322
RAW_TAG, SUB_PAGES_TAG = 50_706, 330
"""DNGVersion and SubIFDs. The first page of most raw files is a small preview, and its sub-pages hold raw data."""


def picture_pages(image: TiffImageFile, max_pixels: int) -> list[int]:
    """The numbers of the pages that may be the picture: the largest one first, those of one size in their order.

    Pages of more than `max_pixels` pixels and masks are left out, and smaller copies if there are others. Raises
    Rejected for raw files.
    """
    is_preview = SUB_PAGES_TAG in image.tag_v2 and image.tag_v2.get(SUBFILE_TYPE_TAG, 0) & REDUCED_PAGE
    if is_preview or RAW_TAG in image.tag_v2:
        raise Rejected(Code.IMAGE_FORMAT, "the picture is a camera's raw file: export it as JPEG")
    sizes: dict[int, tuple[bool, int]] = {}
    with suppress(Exception):  # of the last page, or of a broken one
        for number in range(MAX_PAGES):
            image.seek(number)
            kind, pixels = image.tag_v2.get(SUBFILE_TYPE_TAG, 0), image.width * image.height
            if not kind & MASK_PAGE and pixels <= max_pixels:
                sizes[number] = (bool(kind & REDUCED_PAGE), -pixels)
    pages = sorted(sizes, key=lambda number: (sizes[number], number)) or [0]
    largest = sizes.get(pages[0], (False, 0))[1]
    return [number for number in pages if number == pages[0] or sizes[number][1] * MIN_PAGE_SHARE <= largest]


def decoding_bytes(image: TiffImageFile) -> int:
    """Bytes that decoding a page takes: the picture, and the strip that libtiff decodes at a time."""
    bits = image.tag_v2.get(BITS_TAG, (8,))
    sample_bits: int = sum(bits) if isinstance(bits, tuple) else int(bits)
    is_tiled = TILE_TAG in image.tag_v2
    rows = 0 if is_tiled else min(int(image.tag_v2.get(ROWS_TAG, image.height)), image.height)
    return image.width * (4 * image.height + rows * sample_bits // 8)


def load_page(image: TiffImageFile, number: int) -> Image.Image:
    """Decode a page, in place."""
    image.seek(number)
    if image.tag_v2.get(PHOTOMETRIC_TAG) == 0:
        image.info[WHITE_IS_ZERO] = True
    image.load()
    return image
