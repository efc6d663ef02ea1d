"""Pictures in folders: found below their root alone, by those who may read it, and no larger than may be.

Apart from infra/fetching/fetcher.py, whose libraries for the web cost every short command a tenth of a second.
"""

import errno
import os
import posixpath
import stat
from pathlib import Path

from infra.fetching.image_formats import MAGIC_BYTES, media_type
from schemas.failures import Code, Rejected, TryLater
from schemas.items import FileImage, ImageRef

NO_PATH = (errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.EINVAL, errno.ENXIO, errno.ENODEV)
"""What the system says of a path that no file can ever have: trying again is of no use."""


class TenantFile(FileImage):
    """A picture in a named folder, and the tenant on whose behalf it is read; never on the wire."""

    tenant: str


def for_tenant(ref: ImageRef, tenant: str) -> ImageRef:
    """The reference in an event or a request of a tenant, as it is fetched: folders belong to tenants."""
    if not isinstance(ref, FileImage):
        return ref
    return TenantFile(root=ref.root, path=ref.path, sha256=ref.sha256, tenant=tenant)


def check_size(size: int, limit: int) -> None:
    """Raise Rejected when a picture of `size` bytes is above `limit`."""
    if size > limit:
        raise Rejected(Code.IMAGE_TOO_LARGE, f"the picture has {size} bytes, the limit is {limit}")


def find_below(root: Path, path: str) -> Path:
    """The real file at `path` below `root`, links followed; raises Rejected when that leaves the folder."""
    try:
        real = (root / path).resolve()
    except (ValueError, RuntimeError, OSError):  # a NUL, a circle of links, a name too long
        raise Rejected(Code.SOURCE_REFUSED, f"`{path[:200]!r}` is not a path") from None
    if not real.is_relative_to(root.resolve()):
        raise Rejected(Code.SOURCE_REFUSED, f"`{path[:200]}` leaves its folder: give a path below it")
    return real


def read_below(root: Path, path: str, limit: int) -> bytes:
    """The bytes of the file at `path` below `root`, for whoever owns the folder: says what is wrong with it.

    Raises Rejected, or TryLater when the folder is away.
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
        if error.errno in NO_PATH:
            raise Rejected(Code.IMAGE_MISSING, f"`{path[:200]}` is no file: {error.strerror}") from None
        raise TryLater(Code.IMAGE_UNREACHABLE, f"`{path[:200]}` was not read: {error.strerror}") from None


def read_picture_below(root: Path, path: str, limit: int) -> bytes:
    """The bytes of the picture at `path` below `root`, for strangers: of what is no picture they learn nothing.

    Whether there is no such file, or one that may not be read, or no picture, a link that leads out, a folder: all
    are refused in the same words. Raises Rejected, or TryLater when the folder is away.
    """
    if posixpath.normpath(path).split("/")[0] in ("", ".."):
        raise Rejected(Code.SOURCE_REFUSED, f"`{path[:200]!r}` leaves its folder: give a path below it")
    try:
        data = read_below(root, path, limit)
    except Rejected as refused:
        if refused.code == Code.IMAGE_TOO_LARGE:
            raise
        raise _no_picture(path) from None
    if media_type(data[:MAGIC_BYTES]) is None:
        raise _no_picture(path)
    return data


def _read(file: Path, path: str, limit: int) -> bytes:
    """A regular file, looked at through one descriptor: what is put in its place meanwhile is not read."""
    # Not blocking: a pipe in a picture's place would be waited for without end.
    descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as opened:
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode):
            raise _missing(path)
        if about.st_size > limit:
            raise _too_large(path, limit) if media_type(opened.read(MAGIC_BYTES)) else _missing(path)
        return opened.read(limit)


def _too_large(path: str, limit: int) -> Rejected:
    return Rejected(Code.IMAGE_TOO_LARGE, f"`{path[:200]}` has more than {limit} bytes: make it smaller")


def _missing(path: str) -> Rejected:
    return Rejected(Code.IMAGE_MISSING, f"there is no picture file `{path[:200]}`")


def _no_picture(path: str) -> Rejected:
    message = (
        f"`{path[:200]!r}` is not a picture: there must be a JPEG, PNG, WebP or GIF of that name in its folder, "
        "which workers may read"
    )
    return Rejected(Code.IMAGE_MISSING, message)
