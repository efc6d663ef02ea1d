"""Local files: read pictures only below their tenant's folder, and only up to the size limit.

Separate from infra/fetching/fetcher.py, whose HTTP libraries would slow down every short command by 0.1 s.
"""

import errno
import os
import posixpath
import stat
import unicodedata
from pathlib import Path

from infra.images.formats import FORMAT_NAMES, MAGIC_BYTES, media_type
from schemas.failures import Code, Rejected, TryLater
from schemas.items import FileImage, ImageRef, S3Image

IMPOSSIBLE_PATH_ERRORS = (
    errno.ENAMETOOLONG,
    errno.ELOOP,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.EINVAL,
    errno.ENXIO,
    errno.ENODEV,
)
"""Error numbers for paths that can never name a file, so that a retry is useless."""


class TenantFile(FileImage):
    """A picture in a named folder, with the tenant for which it is read; never serialised."""

    tenant: str


class TenantObject(S3Image):
    """A picture in an object store, with the tenant for which it is read; never serialised."""

    tenant: str


def for_tenant(ref: ImageRef, tenant: str) -> ImageRef:
    """Add the tenant of an event or request to a reference: folders and the content store belong to tenants."""
    if isinstance(ref, FileImage):
        return TenantFile(root=ref.root, path=ref.path, sha256=ref.sha256, tenant=tenant)
    if isinstance(ref, S3Image):
        return TenantObject(bucket=ref.bucket, key=ref.key, sha256=ref.sha256, tenant=tenant)
    return ref


def check_size(size: int, limit: int) -> None:
    """Raise Rejected if `size` exceeds `limit`, in bytes."""
    if size > limit:
        raise Rejected(Code.IMAGE_TOO_LARGE, f"the picture has {size} bytes, the limit is {limit}")


def find_below(root: Path, path: str) -> Path:
    """The resolved path of `path` below `root`, with links followed; raises Rejected if it is outside.

    Letters with accents have two forms in Unicode: feeds mostly have the composed one (NFC), file names from macOS
    the other (NFD). If no file has the name in the given form, the file with the other form is found.
    """
    real = _resolve_below(root, path)
    if not path.isascii() and not os.path.exists(real):
        for form in ("NFC", "NFD"):
            other = _resolve_below(root, unicodedata.normalize(form, path))
            if os.path.exists(other):
                return other
    return real


def _resolve_below(root: Path, path: str) -> Path:
    try:
        real = (root / path).resolve()
    except (ValueError, RuntimeError, OSError):  # a NUL character, a link loop, or a name that is too long
        raise Rejected(Code.SOURCE_REFUSED, f"`{path[:200]!r}` is not a path") from None
    if not real.is_relative_to(root.resolve()):
        raise Rejected(Code.SOURCE_REFUSED, f"`{path[:200]}` leaves its folder: give a path below it")
    return real


def read_below(root: Path, path: str, limit: int) -> bytes:
    """The bytes of the file at `path` below `root`, for the folder's owner: errors state the exact problem.

    Raises Rejected, or TryLater if the folder is unavailable.
    """
    file = find_below(root, path)
    try:
        if not root.is_dir():
            raise TryLater(Code.IMAGE_UNREACHABLE, f"the pictures' folder `{root.name}` is not there: mount it")
        return _read(file, path, limit)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        raise _missing(path) from None
    except PermissionError:
        raise Rejected(Code.SOURCE_REFUSED, f"`{path[:200]}` may not be read: change its permissions") from None
    except ValueError:
        raise Rejected(Code.SOURCE_REFUSED, f"`{path[:200]!r}` is not a path") from None
    except OSError as error:
        if error.errno in IMPOSSIBLE_PATH_ERRORS:
            raise Rejected(Code.IMAGE_MISSING, f"`{path[:200]}` is no file: {error.strerror}") from None
        raise TryLater(Code.IMAGE_UNREACHABLE, f"`{path[:200]}` was not read: {error.strerror}") from None


def read_picture_below(root: Path, path: str, limit: int) -> bytes:
    """The bytes of the picture at `path` below `root`, for untrusted callers: they learn nothing about other files.

    A missing or unreadable file, a file that is no picture, a link out of the folder, and a folder are rejected
    with the same message. Raises Rejected, or TryLater if the folder is unavailable.
    """
    if posixpath.normpath(path).split("/")[0] in ("", ".."):
        raise Rejected(Code.SOURCE_REFUSED, f"`{path[:200]!r}` leaves its folder: give a path below it")
    try:
        data = read_below(root, path, limit)
    except Rejected as rejection:
        if rejection.code == Code.IMAGE_TOO_LARGE:
            raise
        raise _no_picture(path) from None
    if media_type(data[:MAGIC_BYTES]) is None:
        raise _no_picture(path)
    return data


def read_content(folder: Path, path: str, limit: int) -> bytes:
    """The bytes of a picture in a tenant's folder of the content store; raises Rejected or TryLater."""
    try:
        return read_picture_below(folder, path, limit)
    except Rejected as rejection:
        if rejection.code == Code.IMAGE_TOO_LARGE:
            raise
        message = f"the content store has no picture `{path[:80]!r}` any more: send the item again"
        raise Rejected(Code.IMAGE_MISSING, message) from None
    except TryLater:
        if folder.is_dir():
            raise
        raise Rejected(
            Code.IMAGE_MISSING, "the content store has no picture of this tenant: send it again"
        ) from None


def _read(file: Path, path: str, limit: int) -> bytes:
    """Read a regular file through a single descriptor, so that a file that replaces it meanwhile is not read."""
    # Non-blocking: opening a named pipe would otherwise wait for ever.
    descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as stream:
        file_status = os.fstat(descriptor)
        if not stat.S_ISREG(file_status.st_mode):
            raise _missing(path)
        if file_status.st_size > limit:
            raise _too_large(path, limit) if media_type(stream.read(MAGIC_BYTES)) else _missing(path)
        return stream.read(limit)


def _too_large(path: str, limit: int) -> Rejected:
    return Rejected(Code.IMAGE_TOO_LARGE, f"`{path[:200]}` has more than {limit} bytes: make it smaller")


def _missing(path: str) -> Rejected:
    return Rejected(Code.IMAGE_MISSING, f"there is no picture file `{path[:200]}`")


def _no_picture(path: str) -> Rejected:
    message = (
        f"`{path[:200]!r}` is not a picture: there must be a {FORMAT_NAMES} of that name in its folder, "
        "which workers may read"
    )
    return Rejected(Code.IMAGE_MISSING, message)
