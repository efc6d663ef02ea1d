"""Pictures that are fetched before a batch asks for them, each for one event.

Another event that names the same address may be about another picture there: it gets what is there after it came.
"""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from infra.fetching.fetcher import ImageFetcher, Pending
from schemas.failures import Failure
from schemas.items import ImageRef, InlineImage

ROOM_BYTES = 64 << 20
"""Pictures that lie here; with more of them no other is begun. One on its way counts as AVERAGE_BYTES."""
AVERAGE_BYTES = 1 << 20
FORGET_SECONDS = 60.0
"""One that nobody has asked for by then goes when the next is begun: its event was outdone, or is another's."""

PrefetchKey = tuple[str, ImageRef]
"""The id of an event, and a picture that it names."""


class Prefetch:
    """Begins pictures, and gives them to whoever asks for them first; safe to call from several threads."""

    def __init__(
        self, images: ImageFetcher, room: int = ROOM_BYTES, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._images = images
        self._room = room
        self._clock = clock
        self._begun: dict[PrefetchKey, tuple[Pending, float]] = {}
        self._lock = threading.Lock()

    def begin(self, wanted: Sequence[PrefetchKey]) -> None:
        """Have pictures come, as far as there is room."""
        with self._lock:
            self._forget()
            room = self._room - sum(_size(picture) for picture, _ in self._begun.values())
            for one in wanted:
                if not isinstance(one[1], InlineImage) and one not in self._begun and room > 0:
                    self._begun[one] = self._images.begin(one[1]), self._clock()
                    room -= AVERAGE_BYTES

    def fetch_all(self, wanted: Sequence[PrefetchKey]) -> list[bytes | Failure]:
        """Images.fetch_all; what was begun for the same event is taken from here."""
        with self._lock:
            begun = {n: self._begun.pop(one)[0] for n, one in enumerate(wanted) if one in self._begun}
        return self._images.fetch_all([ref for _, ref in wanted], begun)

    def _forget(self) -> None:
        before = self._clock() - FORGET_SECONDS
        for one in [one for one, (_, since) in self._begun.items() if since < before]:
            picture, _ = self._begun.pop(one)
            if isinstance(picture, Future):
                picture.cancel()


def _size(picture: Pending) -> int:
    if isinstance(picture, bytes):
        return len(picture)
    if not isinstance(picture, Future) or (picture.done() and picture.exception() is not None):
        return 0
    return len(picture.result()) if picture.done() else AVERAGE_BYTES
