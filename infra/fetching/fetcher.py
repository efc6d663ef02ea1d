"""Pictures from where events say they are: inside the event, in a named folder, in a bucket, or on the web."""

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from functools import partial
from pathlib import Path
from types import MappingProxyType

from infra.config.images import DEFAULT_TENANT
from infra.config.settings import ImageSettings
from infra.fetching.address_policy import judge_url
from infra.fetching.circuit_breaker import CircuitBreakers
from infra.fetching.fair_pool import FairPool
from infra.fetching.guarded_network import NetworkAccess
from infra.fetching.http_downloads import HttpDownloads
from infra.fetching.local_files import TenantFile, check_size, read_picture_below
from infra.fetching.s3 import ObjectStore
from schemas.failures import Code, Failure, Rejected, TryLater
from schemas.items import FileImage, ImageRef, InlineImage, S3Image, UrlImage

AT_ONCE = 64
"""Pictures that are fetched at the same time: the wait is for other people's servers, not for a core. So many
threads leave room for others while fifteen hosts hang; they are made only as there is work for them."""

GRACE_SECONDS = 0.1
"""A download ends by itself when its time is over, and says whose it was; what is stuck after that is given up."""

MOST_PATIENCE = 240.0
"""Seconds that the most patient wait for all pictures of a batch: less than it takes to be thought stuck."""

Pending = Future[bytes] | bytes | Failure
"""A picture on its way, or what it came to."""
NONE_BEGUN: Mapping[int, Pending] = MappingProxyType({})


class ImageFetcher:
    """Gets the bytes of pictures; safe to call from several threads.

    `patience_s` is how long `fetch_all` may take: what has not come by then is TryLater. None: each picture has all
    of `fetch_seconds` once it is its host's turn. A slow host costs no other host's pictures their time: each has
    at most `per_host` of the threads, and one that often times out is left alone for a while.
    """

    def __init__(
        self,
        settings: ImageSettings,
        patience_s: float | None = None,
        internet: NetworkAccess | None = None,
        breakers: CircuitBreakers | None = None,
    ) -> None:
        self._settings = settings
        self._patience = patience_s or MOST_PATIENCE
        self._downloads = HttpDownloads(settings, internet or NetworkAccess())
        self._buckets = ObjectStore(settings, min(self._patience, settings.fetch_seconds))
        self._turns = FairPool("images", AT_ONCE, settings.per_host)
        self._breakers = breakers or CircuitBreakers()

    def fetch(self, ref: ImageRef) -> bytes | Failure:
        """The encoded picture, at most `max_bytes` long, or why there is none."""
        return self.fetch_all([ref])[0]

    def fetch_all(
        self, refs: Sequence[ImageRef], begun: Mapping[int, Pending] = NONE_BEGUN
    ) -> list[bytes | Failure]:
        """`fetch` for each, side by side, in the order of `refs`; those at the places in `begun` come already."""
        until = time.monotonic() + self._patience
        pending = [begun[n] if n in begun else self._start(ref, until) for n, ref in enumerate(refs)]
        return [await_picture(picture, until) for picture in pending]

    def begin(self, ref: ImageRef) -> Pending:
        """Have a picture come that nobody waits for yet; once it is its host's turn it has `patience_s`."""
        return self._start(ref, time.monotonic() + MOST_PATIENCE)

    def close(self) -> None:
        """Let go of threads and connections."""
        self._turns.close()
        self._downloads.close()

    def _start(self, ref: ImageRef, until: float) -> Pending:
        try:
            if isinstance(ref, InlineImage):
                check_size(len(ref.data), self._settings.max_bytes)
                return ref.data
            host, get = self._source(ref)
        except Failure as failure:
            return failure
        return self._turns.submit(host, partial(self._get, host, get, ref.sha256, until))

    def _source(self, ref: UrlImage | S3Image | FileImage) -> tuple[str, Callable[[float], bytes]]:
        """On whom the picture waits, and how to get it in so many seconds; raises Rejected."""
        if isinstance(ref, UrlImage):
            host, _ = judge_url(ref.url, self._settings)
            return host, partial(self._downloads.get, ref.url)
        if isinstance(ref, S3Image):
            return f"s3://{ref.bucket}", partial(self._buckets.get, ref)
        root, limit = self._root(ref), self._settings.max_bytes
        return f"folder {ref.root}", lambda _seconds: read_picture_below(root, ref.path, limit)

    def _get(self, host: str, get: Callable[[float], bytes], sha256: str | None, until: float) -> bytes:
        """Runs when it is the host's turn; no download outlives `until`, so that no thread is lost to it."""
        left = min(until - time.monotonic(), self._patience, self._settings.fetch_seconds)
        if left <= 0:
            raise out_of_time()
        with self._breakers.watching(host, left):
            data = get(left)
        if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
            message = f"the picture from {host} is not the one that `sha256` names: send an event for what is there"
            raise Rejected(Code.IMAGE_DIFFERS, message)
        return data

    def _root(self, ref: FileImage) -> Path:
        """The folder that a picture's tenant means by a name; whether others have one of that name is not told."""
        tenant = ref.tenant if isinstance(ref, TenantFile) else DEFAULT_TENANT
        folders = self._settings.folders_of(tenant)
        if ref.root not in folders:
            known = ", ".join(sorted(folders)) or "none"
            message = f"tenant {tenant} has no folder `{ref.root}` in LOOKSTREAM_IMAGES_ROOTS (it has: {known})"
            raise Rejected(Code.SOURCE_REFUSED, message)
        return folders[ref.root]


def await_picture(picture: Pending, until: float) -> bytes | Failure:
    """What a picture came to by the moment `until`; what has not begun by then never will."""
    if not isinstance(picture, Future):
        return picture
    try:
        return picture.result(max(0.0, until + GRACE_SECONDS - time.monotonic()))
    except Failure as failure:
        return failure
    except (TimeoutError, CancelledError):
        picture.cancel()
        return out_of_time()


def out_of_time() -> TryLater:
    """A picture that nobody had the patience to wait for."""
    message = "the picture was not there in time: its host is slow, or has many to give"
    return TryLater(Code.IMAGE_TIMEOUT, message, tried=False)
