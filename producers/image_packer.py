"""Image packer: turn the bytes of a picture into a reference or an inline picture for its event.

With a content store (infra/fetching/content_store.py) that is a reference, so that a picture costs the broker
nothing; without one it is the picture itself. Either way a large picture is shrunk first.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import dataclass

from infra.config.images import DEFAULT_TENANT, ImageSettings
from infra.config.settings import Settings
from infra.cores import available_cores
from infra.fetching.content_store import ContentStore, open_content_store
from infra.images.formats import MAGIC_BYTES, media_type
from schemas.failures import Code, Rejected
from schemas.items import MAX_INLINE_BYTES, ImageRef, InlineImage

MAX_PROCESSES = 4
"""Decoder processes at most: they share the machine with the workers, and a large picture may take 1 GiB."""

ONE_BY_ONE_BYTES = 2_000_000
"""Size above which pictures are decoded one at a time, to save memory. JPEG is not among them, because its decoder
reduces a picture while it reads it; others need 3 to 10 bytes for each pixel (48 MP: 150 to 480 MB)."""

Shrink = Callable[[bytes], bytes]
"""Re-encodes a picture so that it fits into an event; raises Rejected."""


def refuse_large(data: bytes) -> bytes:
    """A Shrink without a decoder: raises Rejected."""
    message = f"the picture has {len(data)} bytes and cannot be shrunk here: make it smaller"
    raise Rejected(Code.IMAGE_TOO_LARGE, message)


@dataclass(frozen=True)
class ImagePacker:
    """Packs the pictures of a tenant; by default into events, and only small ones. Thread-safe."""

    shrink: Shrink = refuse_large
    store: ContentStore | None = None
    tenant: str = DEFAULT_TENANT
    max_bytes: int = ImageSettings.model_fields["max_bytes"].default
    """Largest file that is read."""
    threads: int = 0
    """Pictures that are worth packing at a time; 0: packing is quick."""

    def pack(self, data: bytes) -> ImageRef:
        """The reference to a picture, or the picture itself; raises Rejected, and as ContentStore.put."""
        image = embed(data, self.shrink)
        return image if self.store is None else self.store.put(self.tenant, image.data)


def embed(data: bytes, shrink: Shrink) -> InlineImage:
    """The picture as it is if workers read its format and it fits into an event, else shrunk; raises Rejected."""
    if not data:
        raise Rejected(Code.IMAGE_MISSING, "the picture is an empty file")
    fits = len(data) <= MAX_INLINE_BYTES and media_type(data[:MAGIC_BYTES]) is not None
    return InlineImage(data=data if fits else shrink(data))


@contextmanager
def open_packer(settings: Settings, tenant: str) -> Iterator[ImagePacker]:
    """The packer for these settings and this tenant; its decoder processes end with the block."""
    with open_shrinker(settings.images) as shrink:
        store, threads = open_content_store(settings), _process_count() + 1  # one thread more, which reads or sends
        yield ImagePacker(shrink, store, tenant, settings.images.max_bytes, threads)


@contextmanager
def open_shrinker(settings: ImageSettings) -> Iterator[Shrink]:
    """A Shrink in decoder processes, which start when they are first needed, and end with the block."""
    from infra.images.decode import DecodeLimits  # imported here, because most commands need no decoder
    from infra.images.decode_pool import DecodePool

    limits = DecodeLimits(max_bytes=settings.max_bytes, max_pixels=settings.max_pixels)
    one_by_one = threading.Lock()
    with closing(DecodePool(_process_count(), eager=False)) as pool:

        def shrink(data: bytes) -> bytes:
            is_heavy = len(data) > ONE_BY_ONE_BYTES and media_type(data[:MAGIC_BYTES]) != "image/jpeg"
            turn: AbstractContextManager[object] = one_by_one if is_heavy else nullcontext()
            with turn:
                return pool.shrink(data, limits, MAX_INLINE_BYTES)

        yield shrink


def _process_count() -> int:
    return min(available_cores(), MAX_PROCESSES)
