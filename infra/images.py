"""Pictures from where events say they are: inside the event, in a named folder, or on the web."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from infra.downloads import Downloads
from infra.settings import Images as ImageSettings
from schemas.failures import Code, Failure, Rejected, TryLater
from schemas.items import FileImage, ImageRef, InlineImage, UrlImage

AT_ONCE = 16
"""Pictures that are fetched at the same time: the wait is for other people's servers, not for a core."""


class Images:
    """Gets the bytes of pictures; safe to call from several threads."""

    def __init__(self, settings: ImageSettings) -> None:
        self._settings = settings
        self._downloads = Downloads(settings)
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="images")

    def fetch(self, ref: ImageRef) -> bytes | Failure:
        """The encoded picture, at most `max_bytes` long, or why there is none."""
        try:
            return self._get(ref)
        except Failure as failure:
            return failure

    def fetch_all(self, refs: Sequence[ImageRef]) -> list[bytes | Failure]:
        """`fetch` for each, side by side; the answers lie in the order of `refs`."""
        return list(self._pool.map(self.fetch, refs))

    def close(self) -> None:
        """Let go of threads and connections."""
        self._pool.shutdown(cancel_futures=True)
        self._downloads.close()

    def _get(self, ref: ImageRef) -> bytes:
        if isinstance(ref, InlineImage):
            check_size(len(ref.data), self._settings.max_bytes)
            return ref.data
        if isinstance(ref, UrlImage):
            return self._downloads.get(ref.url)
        if isinstance(ref, FileImage):
            return read_below(self._root(ref.root), ref.path, self._settings.max_bytes)
        raise Rejected(
            Code.SOURCE_REFUSED, "this version reads inline, http(s) and file pictures: s3 is not among them"
        )

    def _root(self, name: str) -> Path:
        root = self._settings.roots.get(name)
        if root is None:
            known = ", ".join(sorted(self._settings.roots)) or "none"
            raise Rejected(Code.SOURCE_REFUSED, f"no folder is named `{name}` in LOOKSTREAM_IMAGES_ROOTS: {known}")
        return root


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
