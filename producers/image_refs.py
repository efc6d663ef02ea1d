"""Image references: embed pictures in events, shrunk until they fit, or refer to where workers can read them."""

import io
import struct
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

from PIL import Image, ImageOps, UnidentifiedImageError

from infra.config.errors import BadInput
from infra.fetching.local_files import find_below, read_below
from producers.picture_links import path_candidates, read_link
from schemas.failures import Code, Rejected
from schemas.items import MAX_INLINE_BYTES, FileImage, ImageRef, InlineImage

MAX_FILE_BYTES = 100_000_000
MAX_PIXELS = 80_000_000
"""Larger pictures are unlikely to be product photos; PIL itself warns above 89 million pixels."""

DECODE_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    struct.error,
    zlib.error,
)
"""Exceptions that PIL raises for truncated or corrupt files."""

STEPS = ((1600, 90), (1600, 80), (1600, 70), (1600, 60), (1200, 70), (800, 70))
"""Long side in pixels and JPEG quality, tried in order until the picture fits; the last one fits even noise."""

Locate = Callable[[str], ImageRef]
"""Turns a path from a feed into a picture reference; raises Rejected."""


def image_reference(text: str, locate: Locate) -> ImageRef:
    """The reference for a picture in a feed: a URL (http, s3, data), or a path for `locate`; raises Rejected."""
    link = read_link(text)
    if not isinstance(link, str):
        return link
    rejections = []
    for path in path_candidates(link):
        try:
            return locate(path)
        except Rejected as rejection:
            rejections.append(rejection)
    raise rejections[1 if link.startswith("/") and len(rejections) > 1 else 0]


def choose_root(text: str | None, roots: Mapping[str, Path]) -> Locate:
    """The Locate for `--image-root`: a name in `roots` (events hold paths), else a folder (pictures are embedded).

    Raises BadInput if it is neither.
    """
    if text is None:
        return refuse_paths
    if text in roots:
        return named_root(text, roots[text])
    if Path(text).is_dir():
        return embed_from_folder(Path(text))
    known = ", ".join(sorted(roots)) or "none"
    raise BadInput(
        f"--image-root {text} is no folder, and no name of this tenant in LOOKSTREAM_IMAGES_ROOTS (it has: {known})"
    )


def refuse_paths(text: str) -> ImageRef:
    """A Locate for feeds without a folder: raises Rejected for every path."""
    raise Rejected(Code.SOURCE_REFUSED, f"`{text[:200]}` is a path: say where pictures lie with --image-root")


def embed_from_folder(folder: Path) -> Locate:
    """A Locate that embeds the pictures of a folder in the events."""

    def locate(text: str) -> ImageRef:
        return embed(read_below(folder, text, MAX_FILE_BYTES))

    return locate


def named_root(name: str, folder: Path) -> Locate:
    """A Locate that sends paths only; workers know the folder by `name`."""

    def locate(text: str) -> ImageRef:
        return FileImage(root=name, path=find_below(folder, text).relative_to(folder.resolve()).as_posix())

    return locate


def embed(data: bytes) -> InlineImage:
    """Embed a picture; above 700,000 bytes it is shrunk first. Raises Rejected if that fails or it is empty."""
    if not data:
        raise Rejected(Code.IMAGE_UNREADABLE, "the picture is an empty file")
    return InlineImage(data=data if len(data) <= MAX_INLINE_BYTES else shrink(data))


def shrink(data: bytes, limit: int = MAX_INLINE_BYTES) -> bytes:
    """Re-encode a picture as an upright JPEG of at most `limit` bytes, with the first of STEPS that fits.

    Raises Rejected.
    """
    picture = _decode(data)
    for side, quality in STEPS:
        if max(picture.size) > side:
            picture.thumbnail((side, side), Image.Resampling.LANCZOS)
        out = io.BytesIO()
        picture.save(out, "JPEG", quality=quality)
        if out.tell() <= limit:
            return out.getvalue()
    raise Rejected(Code.IMAGE_TOO_LARGE, f"the picture did not fit {limit} bytes even at 800 pixels")


def _decode(data: bytes) -> Image.Image:
    """Decode the picture upright and in RGB; a JPEG is decoded at little above 1600 pixels. Raises Rejected."""
    try:
        picture = Image.open(io.BytesIO(data))
        if picture.width * picture.height > MAX_PIXELS:
            raise Rejected(Code.IMAGE_TOO_LARGE, f"the picture has more than {MAX_PIXELS} pixels: make it smaller")
        # The JPEG decoder scales to a half or a quarter of the size if that is still large enough.
        picture.draft("RGB", STEPS[0][:1] * 2)
        return _on_white(ImageOps.exif_transpose(picture))
    except Image.DecompressionBombError:
        message = f"the picture has more than {MAX_PIXELS} pixels: make it smaller"
        raise Rejected(Code.IMAGE_TOO_LARGE, message) from None
    except UnidentifiedImageError:
        message = "the picture is of no kind that can be read: send a JPEG, PNG, WebP or GIF"
        raise Rejected(Code.IMAGE_UNREADABLE, message) from None
    except DECODE_ERRORS:
        # PIL's own message names objects of this process.
        raise Rejected(Code.IMAGE_UNREADABLE, "the picture is broken: send it again, whole") from None


def _on_white(picture: Image.Image) -> Image.Image:
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    rgba = picture.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
