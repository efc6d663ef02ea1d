"""Uploads: pictures of a request body as inline images; large ones are shrunk in the jailed processes of a pool."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from infra.config.images import ImageSettings
from infra.images.decode import DecodeLimits
from infra.images.decode_pool import DecodePool
from infra.images.decoder_child import ProcessLimits
from infra.images.formats import FORMAT_NAMES, MAGIC_BYTES, media_type, other_kind
from producers.gateway.problem_details import Problem
from schemas.items import MAX_INLINE_BYTES, InlineImage

MAX_PROCESSES = 2
NICENESS = 10
"""Of the processes: requests without shrinking go first."""


class Uploads:
    """Turns uploaded files into inline images; for the tasks of one event loop. Close it at the end."""

    def __init__(self, settings: ImageSettings) -> None:
        self._limits = DecodeLimits(settings.max_bytes, settings.max_pixels)
        self._pool = DecodePool(MAX_PROCESSES, ProcessLimits(niceness=NICENESS), eager=False)
        self._threads = ThreadPoolExecutor(MAX_PROCESSES, "uploads")  # Each waits for one process.

    async def picture(self, data: bytes) -> InlineImage:
        """The inline image; raises Problem (415) for another format, Rejected for a picture that cannot be read."""
        start = data[:MAGIC_BYTES]
        if media_type(start) is None:
            kind = other_kind(start)
            message = f"the file is {kind + ', ' if kind else ''}not a picture of a supported format: send a"
            raise Problem(415, f"{message} {FORMAT_NAMES}")
        if len(data) <= MAX_INLINE_BYTES:
            return InlineImage(data=data)
        shrink = partial(self._pool.shrink, data, self._limits, MAX_INLINE_BYTES)
        return InlineImage(data=await asyncio.get_running_loop().run_in_executor(self._threads, shrink))

    def close(self) -> None:
        """End the processes, without waiting for pictures that are not shrunk yet."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._pool.close()
