"""Prefetch: start to fetch the pictures of events before their batch needs them.

A prefetched picture belongs to one record. Another record with the same URL gets its own fetch, as the picture may
have changed; so does a retry or a replay of the same event.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future

from infra.fetching.fetcher import ImageFetcher, Pending
from schemas.failures import Failure
from schemas.items import ImageRef, InlineImage

CAPACITY_BYTES = 64 << 20
"""Maximum bytes of prefetched pictures; above it no fetch starts. A pending picture counts as AVERAGE_BYTES."""
AVERAGE_BYTES = 1 << 20
FORGET_SECONDS = 60.0
"""Age in seconds at which an unused picture is dropped: its event was superseded, went to another worker, or was
processed before the fetch began."""

PrefetchKey = tuple[str, ImageRef]
"""The position of a record, and a picture reference in its event."""


class Prefetch:
    """Starts fetches, and hands each picture to the first caller that requests it. Thread-safe."""

    def __init__(
        self, images: ImageFetcher, capacity: int = CAPACITY_BYTES, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._images = images
        self._capacity = capacity
        self._clock = clock
        self._fetches: dict[PrefetchKey, tuple[Pending, float]] = {}
        self._lock = threading.Lock()

    def begin(self, keys: Sequence[PrefetchKey]) -> None:
        """Start to fetch pictures, up to the capacity."""
        with self._lock:
            self._drop_expired()
            free_bytes = self._capacity - sum(_size(picture) for picture, _ in self._fetches.values())
            for key in keys:
                if not isinstance(key[1], InlineImage) and key not in self._fetches and free_bytes > 0:
                    self._fetches[key] = self._images.begin(key[1]), self._clock()
                    free_bytes -= AVERAGE_BYTES

    def fetch_waves(self, keys: Sequence[PrefetchKey]) -> Iterator[dict[int, bytes | Failure]]:
        """ImageFetcher.fetch_waves, using the fetches that were started for the same records."""
        with self._lock:
            fetches = {n: self._fetches.pop(key)[0] for n, key in enumerate(keys) if key in self._fetches}
        return self._images.fetch_waves([ref for _, ref in keys], fetches)

    def _drop_expired(self) -> None:
        expiry = self._clock() - FORGET_SECONDS
        for key in [key for key, (_, started_at) in self._fetches.items() if started_at < expiry]:
            picture, _ = self._fetches.pop(key)
            if isinstance(picture, Future):
                picture.cancel()


def _size(picture: Pending) -> int:
    if isinstance(picture, bytes):
        return len(picture)
    if not isinstance(picture, Future) or (picture.done() and picture.exception() is not None):
        return 0
    return len(picture.result()) if picture.done() else AVERAGE_BYTES
