"""Image fetcher: get pictures from their sources: the event itself, a named folder, an S3 bucket or a URL."""

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType

from infra.config.images import CONTENT_ROOT, DEFAULT_TENANT, ImageSettings
from infra.fetching.address_policy import check_url
from infra.fetching.circuit_breaker import CircuitBreakers
from infra.fetching.fair_pool import FairPool
from infra.fetching.guarded_network import NetworkAccess
from infra.fetching.http_downloads import HttpDownloads
from infra.fetching.local_files import TenantFile, check_size, read_content, read_picture_below
from infra.fetching.s3 import ObjectStore
from schemas.failures import Code, Failure, Rejected, TryLater
from schemas.items import FileImage, ImageRef, InlineImage, S3Image, UrlImage

AT_ONCE = 64
"""Maximum number of pictures that are fetched concurrently. Fetches wait for remote servers and not for a CPU core.
This number of threads still serves other hosts while fifteen hosts hang; threads are started on demand."""

GRACE_SECONDS = 0.1
"""Seconds after its deadline in which a download may still end with an error that names its source.
Then it is abandoned."""

HELD_BYTES = 256_000_000
"""Maximum bytes of a batch's pictures in memory at a time, whatever their number and size."""
AHEAD_BYTES = HELD_BYTES // AT_ONCE
"""Maximum bytes of a picture that is fetched before its batch."""
LEAST_LIMIT = 100_000
"""Lower bound of the size limit, in bytes, of the pictures that are fetched first."""

MAX_PATIENCE_SECONDS = 240.0
"""Default limit in seconds for all pictures of a batch; less than the time after which a worker counts as stuck."""

Pending = Future[bytes] | bytes | Failure
"""A picture that is being fetched, or the result: its bytes or the failure."""
CONTENT_STORE = "the content store"
"""Name of the local content store, used instead of a host name."""
NO_PENDING: Mapping[int, Pending] = MappingProxyType({})


@dataclass(frozen=True)
class Allowance:
    """Limits of a download: bytes, seconds after its host's turn begins, and a deadline of time.monotonic()."""

    bytes: int
    seconds: float
    deadline: float


class LargeImage(Rejected):
    """The picture is too large to be fetched with the others; `seconds_left` of its time remain."""

    def __init__(self, seconds_left: float) -> None:
        super().__init__(Code.IMAGE_TOO_LARGE, "the picture has more bytes than those that are fetched together")
        self.seconds_left = seconds_left


class ImageFetcher:
    """Fetches the bytes of pictures. Thread-safe.

    `patience_s` limits the time of `fetch_all`: pictures that have not arrived by then become TryLater. None: each
    picture has the full `fetch_seconds` from its host's turn. A slow host does not delay the pictures of others:
    each host has at most `per_host` of the threads, and one that often times out is paused by a circuit breaker.
    `content` is the folder of the local content store; None: there is none.
    """

    def __init__(
        self,
        settings: ImageSettings,
        patience_s: float | None = None,
        internet: NetworkAccess | None = None,
        breakers: CircuitBreakers | None = None,
        content: Path | None = None,
    ) -> None:
        self._settings = settings
        self._content = content
        self._patience = patience_s or MAX_PATIENCE_SECONDS
        self._downloads = HttpDownloads(settings, internet or NetworkAccess())
        self._object_store = ObjectStore(settings, min(self._patience, settings.fetch_seconds))
        self._pool = FairPool("images", AT_ONCE, settings.per_host)
        self._breakers = breakers or CircuitBreakers()

    def fetch(self, ref: ImageRef) -> bytes | Failure:
        """The encoded picture, at most `max_bytes` long, or the failure."""
        return self.fetch_all([ref])[0]

    def fetch_all(self, refs: Sequence[ImageRef]) -> list[bytes | Failure]:
        """Fetch pictures concurrently, in the order of `refs`."""
        pictures = {n: picture for wave in self.fetch_waves(refs) for n, picture in wave.items()}
        return [pictures[n] for n in range(len(refs))]

    def fetch_waves(
        self, refs: Sequence[ImageRef], begun: Mapping[int, Pending] = NO_PENDING, held_bytes: int = HELD_BYTES
    ) -> Iterator[dict[int, bytes | Failure]]:
        """Fetch pictures in waves, by their indices in `refs`; a wave has at most `held_bytes`, or one picture.

        `begun` has the fetches that were started before, by the same indices.

        The first waves have all pictures up to a size limit; later waves have the larger pictures, a few at a time.
        A wave is emptied when the next one is requested. Most sizes are known from headers, before anything is
        downloaded. A picture has the seconds of one download, however often it is tried.
        """
        deadline, largest = time.monotonic() + self._patience, self._settings.max_bytes
        limit = min(max(LEAST_LIMIT, held_bytes // max(len(refs), 1)), largest)
        seconds = dict.fromkeys(range(len(refs)), self._settings.fetch_seconds)
        while seconds:
            numbers, large = list(seconds), dict[int, float]()
            for first in range(0, len(numbers), size := max(1, held_bytes // limit)):
                started = {
                    n: begun[n] if n in begun else self._start(refs[n], Allowance(limit, seconds[n], deadline))
                    for n in numbers[first : first + size]
                }
                wave = {n: await_picture(started.pop(n), deadline) for n in list(started)}
                large |= {n: found.seconds_left for n, found in wave.items() if isinstance(found, LargeImage)}
                for n in large.keys() & wave.keys():
                    del wave[n]
                yield wave
                wave.clear()
            seconds, limit, begun = large, largest, NO_PENDING

    def begin(self, ref: ImageRef) -> Pending:
        """Start to fetch a picture without waiting; it has `patience_s` from the start of its host's turn.

        A picture of more than AHEAD_BYTES becomes a LargeImage, which `fetch_waves` fetches later.
        """
        limit, seconds = min(AHEAD_BYTES, self._settings.max_bytes), self._settings.fetch_seconds
        return self._start(ref, Allowance(limit, seconds, time.monotonic() + MAX_PATIENCE_SECONDS))

    def close(self) -> None:
        """Close threads and connections."""
        self._pool.close()
        self._downloads.close()

    def _start(self, ref: ImageRef, allowance: Allowance) -> Pending:
        try:
            if isinstance(ref, InlineImage):
                check_size(len(ref.data), self._settings.max_bytes)
                return ref.data
            host, get = self._resolve_source(ref, allowance.bytes)
        except Failure as failure:
            return failure
        return self._pool.submit(host, partial(self._get, host, get, ref.sha256, allowance))

    def _resolve_source(
        self, ref: UrlImage | S3Image | FileImage, limit: int
    ) -> tuple[str, Callable[[float], bytes]]:
        """The name of the host, and a function that gets the picture within the given seconds; raises Rejected."""
        if isinstance(ref, UrlImage):
            host, _ = check_url(ref.url, self._settings)
            return host, partial(self._downloads.get, ref.url, limit)
        if isinstance(ref, S3Image):
            return f"s3://{ref.bucket}", partial(self._object_store.get, ref, limit)
        if ref.root == CONTENT_ROOT:
            folder = self._content_folder(ref)
            return CONTENT_STORE, lambda _seconds: read_content(folder, ref.path, limit)
        root = self._resolve_folder(ref)
        return f"folder {ref.root}", lambda _seconds: read_picture_below(root, ref.path, limit)

    def _get(self, host: str, get: Callable[[float], bytes], sha256: str | None, allowance: Allowance) -> bytes:
        """Fetch a picture in its host's turn; no download exceeds its deadline, so that it cannot block a thread.

        Raises LargeImage for a picture that may be fetched with a higher limit.
        """
        started = time.monotonic()
        seconds = min(allowance.deadline - started, self._patience, allowance.seconds)
        if seconds <= 0:
            raise out_of_time()
        try:
            with self._breakers.guard(host, seconds):
                data = get(seconds)
        except Rejected as rejection:
            if rejection.code == Code.IMAGE_TOO_LARGE and allowance.bytes < self._settings.max_bytes:
                # Never 0, which would end as `out_of_time`: this picture was tried, so its retry must count.
                raise LargeImage(max(seconds - (time.monotonic() - started), GRACE_SECONDS)) from None
            raise
        if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
            message = f"the picture from {host} has another `sha256` than the event: send an event for that picture"
            raise Rejected(Code.IMAGE_DIFFERS, message)
        return data

    def _content_folder(self, ref: FileImage) -> Path:
        """The folder of the content store for the picture's tenant, which has no access to those of others."""
        if self._content is None or not self._content.is_dir():
            message = (
                "the picture lies in the content store of another machine, or of a data folder that was removed: "
                "send the item again"
            )
            raise Rejected(Code.IMAGE_MISSING, message)
        return self._content / (ref.tenant if isinstance(ref, TenantFile) else DEFAULT_TENANT)

    def _resolve_folder(self, ref: FileImage) -> Path:
        """The folder of a name for the picture's tenant; the error does not reveal other tenants' folders."""
        tenant = ref.tenant if isinstance(ref, TenantFile) else DEFAULT_TENANT
        folders = self._settings.folders_of(tenant)
        if ref.root not in folders:
            folder_names = ", ".join(sorted(folders)) or "none"
            message = (
                f"tenant {tenant} has no folder `{ref.root}` in LOOKSTREAM_IMAGES_ROOTS (it has: {folder_names})"
            )
            raise Rejected(Code.SOURCE_REFUSED, message)
        return folders[ref.root]


def await_picture(picture: Pending, deadline: float) -> bytes | Failure:
    """The result of a fetch at `deadline`; a fetch that has not started by then is cancelled."""
    if not isinstance(picture, Future):
        return picture
    try:
        return picture.result(max(0.0, deadline + GRACE_SECONDS - time.monotonic()))
    except Failure as failure:
        return failure
    except (TimeoutError, CancelledError):
        picture.cancel()
        return out_of_time()


def out_of_time() -> TryLater:
    """The failure of a picture that did not arrive within the time limit."""
    message = "the picture was not fetched in time: its host is slow or overloaded"
    return TryLater(Code.IMAGE_TIMEOUT, message, tried=False)
