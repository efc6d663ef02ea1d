"""Pictures in folders: found below their root alone, and no larger than may be.

Apart from infra/images.py, whose libraries for the web cost every short command a tenth of a second.
"""

from pathlib import Path

from schemas.failures import Code, Rejected, TryLater


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
    """The bytes of the picture at `path` below `root`; raises Rejected, or TryLater when the folder is away."""
    file = find_below(root, path)
    try:
        if not root.is_dir():
            raise TryLater(Code.IMAGE_UNREACHABLE, f"the pictures' folder `{root.name}` is not there: mount it")
        if not file.is_file():
            raise Rejected(Code.IMAGE_MISSING, f"there is no picture file `{path[:200]}`")
        check_size(file.stat().st_size, limit)
        return file.read_bytes()
    except PermissionError:
        raise Rejected(Code.SOURCE_REFUSED, f"`{path[:200]}` may not be read: change its permissions") from None
    except OSError as error:
        raise TryLater(Code.IMAGE_UNREACHABLE, f"`{path[:200]}` was not read: {error.strerror}") from None
