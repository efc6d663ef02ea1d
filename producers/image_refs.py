"""Pictures on their way into events: shrunk until they fit, or left where workers can read them."""

import io
import struct
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

from PIL import Image, ImageOps, UnidentifiedImageError

from infra.console import BadInput
from infra.fetching.local_files import find_below, read_below
from schemas.failures import Code, Rejected
from schemas.items import MAX_INLINE_BYTES, FileImage, ImageRef, InlineImage, S3Image, UrlImage

MAX_FILE_BYTES = 100_000_000
MAX_PIXELS = 80_000_000
"""Larger files are no product photos; PIL itself warns above 89 million pixels."""

BROKEN = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, struct.error, zlib.error)
"""What PIL raises on bytes that break off or lie."""

STEPS = ((1600, 90), (1600, 80), (1600, 70), (1600, 60), (1200, 70), (800, 70))
"""Long side in pixels and JPEG quality, tried until the picture fits; the last one fits even noise."""

Locate = Callable[[str], ImageRef]
"""Turns a path, as a feed has it, into a picture; raises Rejected."""


def reference(text: str, locate: Locate) -> ImageRef:
    """The picture that a feed names: an http(s) or s3 address, or a path for `locate`; raises Rejected."""
    scheme, colon, rest = text.partition("://")
    if scheme.lower() in ("http", "https") and colon:
        return UrlImage(url=f"{scheme.lower()}://{rest}")
    if scheme == "s3" and colon:
        bucket, _, key = rest.partition("/")
        return S3Image(bucket=bucket, key=key)
    return locate(text)


def choose_root(text: str | None, roots: Mapping[str, Path]) -> Locate:
    """What `--image-root` means: a name in `roots` (paths alone travel), else a folder (pictures travel inline)."""
    if text is None:
        return nowhere
    if text in roots:
        return named_root(text, roots[text])
    if Path(text).is_dir():
        return inline_below(Path(text))
    known = ", ".join(sorted(roots)) or "none"
    raise BadInput(
        f"--image-root {text} is no folder, and no name of this tenant in LOOKSTREAM_IMAGES_ROOTS (it has: {known})"
    )


def nowhere(text: str) -> ImageRef:
    """A Locate for feeds without a folder: refuses every path."""
    raise Rejected(Code.SOURCE_REFUSED, f"`{text[:200]}` is a path: say where pictures lie with --image-root")


def inline_below(folder: Path) -> Locate:
    """A Locate whose pictures travel inside the event."""

    def locate(text: str) -> ImageRef:
        return inline(read_below(folder, text, MAX_FILE_BYTES))

    return locate


def named_root(name: str, folder: Path) -> Locate:
    """A Locate whose paths alone travel: workers know the folder by `name`."""

    def locate(text: str) -> ImageRef:
        return FileImage(root=name, path=find_below(folder, text).relative_to(folder.resolve()).as_posix())

    return locate


def inline(data: bytes) -> InlineImage:
    """A picture inside an event, shrunk when it is above 700,000 bytes; raises Rejected when it cannot be."""
    if not data:
        raise Rejected(Code.IMAGE_UNREADABLE, "the picture is an empty file")
    return InlineImage(data=data if len(data) <= MAX_INLINE_BYTES else shrink(data))


def shrink(data: bytes, limit: int = MAX_INLINE_BYTES) -> bytes:
    """The picture as a JPEG of at most `limit` bytes: upright, long side 1600 and quality 90, or less."""
    picture = _open(data)
    for side, quality in STEPS:
        if max(picture.size) > side:
            picture.thumbnail((side, side), Image.Resampling.LANCZOS)
        out = io.BytesIO()
        picture.save(out, "JPEG", quality=quality)
        if out.tell() <= limit:
            return out.getvalue()
    raise Rejected(Code.IMAGE_TOO_LARGE, f"the picture did not fit {limit} bytes even at 800 pixels")


def _open(data: bytes) -> Image.Image:
    """The upright picture in RGB, at most a little above 1600 pixels long where the format allows it."""
    try:
        picture = Image.open(io.BytesIO(data))
        if picture.width * picture.height > MAX_PIXELS:
            raise Rejected(Code.IMAGE_TOO_LARGE, f"the picture has more than {MAX_PIXELS} pixels: make it smaller")
        # A JPEG is decoded at half or a quarter of its size right away where that is still enough.
        picture.draft("RGB", STEPS[0][:1] * 2)
        return _on_white(ImageOps.exif_transpose(picture))
    except Image.DecompressionBombError:
        message = f"the picture has more than {MAX_PIXELS} pixels: make it smaller"
        raise Rejected(Code.IMAGE_TOO_LARGE, message) from None
    except UnidentifiedImageError:
        message = "the picture is of no kind that can be read: send a JPEG, PNG, WebP or GIF"
        raise Rejected(Code.IMAGE_UNREADABLE, message) from None
    except BROKEN:
        # What PIL says of it names objects of this process.
        raise Rejected(Code.IMAGE_UNREADABLE, "the picture is broken: send it again, whole") from None


def _on_white(picture: Image.Image) -> Image.Image:
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    clear = picture.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear).convert("RGB")
