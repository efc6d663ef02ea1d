"""Image formats: the accepted formats, recognised by their first bytes, with their names, suffixes and media types.

This file imports no decoder, so that downloads, folders and the gateway can use it without PIL.
"""

from dataclasses import dataclass

MAGIC_BYTES = 64
"""Bytes from the start of a file that tell its format; 16 suffice but for HEIC and AVIF with common brands."""


@dataclass(frozen=True)
class ImageFormat:
    """An accepted format. `codec` is its decoder's name in PIL; suffixes are in lower case, the usual one first."""

    name: str
    media_type: str
    codec: str
    suffixes: tuple[str, ...]


JPEG = ImageFormat("JPEG", "image/jpeg", "JPEG", (".jpg", ".jpeg", ".jpe", ".jfif", ".jfi", ".jif", ".mpo"))
PNG = ImageFormat("PNG", "image/png", "PNG", (".png", ".apng"))
WEBP = ImageFormat("WebP", "image/webp", "WEBP", (".webp",))
GIF = ImageFormat("GIF", "image/gif", "GIF", (".gif",))
HEIC = ImageFormat("HEIC", "image/heic", "HEIF", (".heic", ".heif", ".hif", ".heics", ".heifs"))
AVIF = ImageFormat("AVIF", "image/avif", "AVIF", (".avif", ".avifs"))
TIFF = ImageFormat("TIFF", "image/tiff", "TIFF", (".tif", ".tiff"))
BMP = ImageFormat("BMP", "image/bmp", "BMP", (".bmp", ".dib"))
JPEG_XL = ImageFormat("JPEG XL", "image/jxl", "JXL", (".jxl",))

FORMATS = (JPEG, PNG, WEBP, GIF, HEIC, AVIF, TIFF, BMP, JPEG_XL)
"""All accepted formats. Each decoder is an attack surface: no other one is ever opened."""
FORMAT_NAMES = ", ".join(each.name for each in FORMATS[:-1]) + f" or {FORMATS[-1].name}"
"""The formats for messages and help texts."""
MEDIA_TYPES = ", ".join(each.media_type for each in FORMATS)
"""The formats for HTTP headers and OpenAPI."""

_PICTURE_SUFFIXES = tuple(suffix for each in FORMATS for suffix in each.suffixes)
_OTHER_SUFFIXES = (
    # cameras' raw files
    ".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dcr", ".dng", ".erf", ".fff", ".iiq", ".kdc", ".mef", ".mos", ".mrw",
    ".nef", ".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2", ".rwl", ".sr2", ".srf", ".srw", ".x3f",
    # drawing programs, printing, icons, and formats of the past and of film
    ".ai", ".cdr", ".cur", ".dds", ".eps", ".exr", ".hdr", ".icns", ".ico", ".j2c", ".j2k", ".jls", ".jp2", ".jpc",
    ".jpf", ".jpm", ".jpx", ".jxr", ".pbm", ".pcx", ".pgm", ".pnm", ".ppm", ".psb", ".psd", ".qoi", ".svg", ".svgz",
    ".tga", ".wdp", ".wmf", ".xcf",
)  # fmt: skip

_MAGIC = {
    b"\xff\xd8": JPEG,  # by the standard FF follows, but some writers put bytes behind these two
    b"\x89PNG\r\n\x1a\n": PNG,
    b"GIF8": GIF,
    b"II*\0": TIFF,
    b"MM\0*": TIFF,
    b"II+\0": TIFF,
    b"MM\0+": TIFF,
    b"\xff\x0a": JPEG_XL,
    b"\0\0\0\x0cJXL \r\n\x87\n": JPEG_XL,
}
"""First bytes that alone tell the format."""
_RAW_MAGIC = {8: (b"CR\x02", b"HEAPCCDR"), 4: (b"ftypcrx",)}
"""Bytes, by their position, of raw files of Canon, two of which begin as a TIFF does."""
_BMP_HEADERS = (12, 40, 52, 56, 64, 108, 124)
"""Sizes in bytes of the header that follows the 14 bytes of a BMP's file header."""
_AVIF_BRANDS = (b"avif", b"avis")
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs")
_COMMON_BRANDS = (b"mif1", b"msf1", b"miaf")
"""Brands of HEIF (ISO 23008-12) that do not tell how the picture is encoded."""
_OTHER_KINDS = {
    b"%PDF": "a PDF",
    b"8BPS": "a Photoshop file",
    b"%!PS": "a PostScript file",
    b"<svg": "an SVG drawing",
    b"<!DO": "a web page",
    b"<htm": "a web page",
    b"<HTM": "a web page",
    b"<?xm": "an XML file",
    b"PK\x03\x04": "a ZIP archive",
    b"\x1f\x8b": "a gzip file",
    b"\0\0\0\x0cjP  ": "a JPEG 2000",
    b"\xff\x4f\xff\x51": "a JPEG 2000",
    b"\0\0\1\0": "an icon",
    b"FUJIFILMCCD-RAW": "a camera's raw file",
    b"IIRO": "a camera's raw file",
    b"IIRS": "a camera's raw file",
    b"IIU\0": "a camera's raw file",
    b"\x1aE\xdf\xa3": "a video",
}
"""What is often sent in place of a picture, by its first bytes, for messages."""


def format_of(start: bytes) -> ImageFormat | None:
    """The format of a file that starts with these bytes; None if it is not an accepted one."""
    if any(start.startswith(marks, at) for at, marks in _RAW_MAGIC.items()):
        return None
    if start.startswith(b"RIFF") and start[8:12] == b"WEBP":
        return WEBP
    if start[4:8] == b"ftyp":
        return _format_of_brands(start)
    if start.startswith(b"BM") and (len(start) < 18 or int.from_bytes(start[14:18], "little") in _BMP_HEADERS):
        return BMP
    return next((each for magic, each in _MAGIC.items() if start.startswith(magic)), None)


def _format_of_brands(start: bytes) -> ImageFormat | None:
    """HEIC or AVIF by the brands of an `ftyp` box: the major one, or the first compatible one that tells."""
    size = min(max(int.from_bytes(start[:4], "big"), 16), MAGIC_BYTES)
    brands = [start[8:12], *(start[at : at + 4] for at in range(16, size, 4))]
    for brand in brands:
        if brand in _AVIF_BRANDS:
            return AVIF
        if brand in _HEIC_BRANDS:
            return HEIC
    return HEIC if brands[0] in _COMMON_BRANDS else None


def media_type(start: bytes) -> str | None:
    """The media type of a file that starts with these bytes (MAGIC_BYTES or more); None if it is no picture."""
    found = format_of(start)
    return None if found is None else found.media_type


def other_kind(start: bytes) -> str | None:
    """What a file that is no picture is instead, with its article, as "a PDF"; None if that cannot be told."""
    if start[4:8] == b"ftyp":
        return "a camera's raw file" if start[8:11] == b"crx" else "a video"
    if any(start.startswith(marks, at) for at, marks in _RAW_MAGIC.items()):
        return "a camera's raw file"
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    return next(
        (kind for magic, kind in _OTHER_KINDS.items() if start.startswith(magic) or text[:4] == magic), None
    )


def is_picture_name(name: str) -> bool:
    """Whether the name of a file or an object has the suffix of an accepted format."""
    return name.lower().endswith(_PICTURE_SUFFIXES)


def looks_like_picture(name: str) -> bool:
    """Whether the name of a file is that of a picture in any format, also in one that is not accepted, as .cr2."""
    return name.lower().endswith((*_PICTURE_SUFFIXES, *_OTHER_SUFFIXES))
