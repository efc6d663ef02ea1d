"""Pictures that are fetched before a batch asks for them."""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from infra.images import Images, Pending
from schemas.failures import Failure
from schemas.items import ImageRef, InlineImage

ROOM_BYTES = 64 << 20
"""Pictures that lie here; with more of them no other is begun. One on its way counts as AVERAGE_BYTES."""
AVERAGE_BYTES = 1 << 20
FORGET_SECONDS = 60.0
"""A picture that nobody has asked for by then is let go: a newer event came, or the partition went to another."""


class Prefetch:
    """Begins pictures, and gives them to whoever asks for them first; safe to call from several threads."""

    def __init__(self, images: Images, room: int = ROOM_BYTES, clock: Callable[[], float] = time.monotonic) -> None:
        self._images = images
        self._room = room
        self._clock = clock
        self._begun: dict[ImageRef, tuple[Pending, float]] = {}
        self._lock = threading.Lock()

    def begin(self, refs: Sequence[ImageRef]) -> None:
        """Have pictures come, as far as there is room."""
        with self._lock:
            self._forget()
            room = self._room - sum(_size(picture) for picture, _ in self._begun.values())
            for ref in refs:
                if not isinstance(ref, InlineImage) and ref not in self._begun and room > 0:
                    self._begun[ref] = self._images.begin(ref), self._clock()
                    room -= AVERAGE_BYTES

    def fetch_all(self, refs: Sequence[ImageRef]) -> list[bytes | Failure]:
        """Images.fetch_all; what was begun is taken from here."""
        with self._lock:
            begun = {ref: self._begun.pop(ref)[0] for ref in set(refs) if ref in self._begun}
        return self._images.fetch_all(refs, begun)

    def _forget(self) -> None:
        before = self._clock() - FORGET_SECONDS
        for ref in [ref for ref, (_, since) in self._begun.items() if since < before]:
            picture, _ = self._begun.pop(ref)
            if isinstance(picture, Future):
                picture.cancel()


def _size(picture: Pending) -> int:
    if isinstance(picture, bytes):
        return len(picture)
    if not isinstance(picture, Future) or (picture.done() and picture.exception() is not None):
        return 0
    return len(picture.result()) if picture.done() else AVERAGE_BYTES
