"""Image references: embed pictures in events, shrunk until they fit, or refer to where workers can read them."""

from collections.abc import Callable, Mapping
from pathlib import Path

from infra.config.errors import BadInput
from infra.fetching.local_files import find_below, read_below
from infra.images.decode import DecodeLimits
from infra.images.decode_pool import DecodePool
from schemas.failures import Code, Rejected
from schemas.items import MAX_INLINE_BYTES, FileImage, ImageRef, InlineImage, S3Image, UrlImage

LIMITS = DecodeLimits()
MAX_FILE_BYTES = LIMITS.max_bytes

Locate = Callable[[str], ImageRef]
"""Turns a path from a feed into a picture reference; raises Rejected."""


def image_reference(text: str, locate: Locate) -> ImageRef:
    """The reference for a picture in a feed: an http(s) or s3 URL, or a path for `locate`; raises Rejected."""
    scheme, colon, rest = text.partition("://")
    if scheme.lower() in ("http", "https") and colon:
        return UrlImage(url=f"{scheme.lower()}://{rest}")
    if scheme == "s3" and colon:
        bucket, _, key = rest.partition("/")
        return S3Image(bucket=bucket, key=key)
    return locate(text)


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
    pool = DecodePool(1, eager=False)  # Its process ends with this one.

    def locate(text: str) -> ImageRef:
        return embed(read_below(folder, text, MAX_FILE_BYTES), pool)

    return locate


def named_root(name: str, folder: Path) -> Locate:
    """A Locate that sends paths only; workers know the folder by `name`."""

    def locate(text: str) -> ImageRef:
        return FileImage(root=name, path=find_below(folder, text).relative_to(folder.resolve()).as_posix())

    return locate


def embed(data: bytes, pool: DecodePool) -> InlineImage:
    """Embed a picture; above 700,000 bytes it is shrunk first, by `pool`. Raises Rejected."""
    if not data:
        raise Rejected(Code.IMAGE_MISSING, "the picture is an empty file")
    return InlineImage(data=data if len(data) <= MAX_INLINE_BYTES else pool.shrink(data, LIMITS, MAX_INLINE_BYTES))
