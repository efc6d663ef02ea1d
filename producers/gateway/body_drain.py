"""Body drain: read the rest of refused request bodies slowly, so that other requests go first."""

import asyncio
from collections import deque

READ_INTERVAL_SECONDS = 0.008
"""Seconds between two reads. One read returns up to 256 KiB, so at most 32 MiB/s are read."""


class BodyDrain:
    """Connections whose bodies are still being read, round robin, one read at a time."""

    def __init__(self) -> None:
        self._queue: deque[asyncio.Transport] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def add(self, transport: asyncio.Transport) -> None:
        """Pause reading from this connection until it is its turn."""
        transport.pause_reading()
        self._queue.append(transport)
        self._schedule()

    def _schedule(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(READ_INTERVAL_SECONDS, self._resume_next)

    def _resume_next(self) -> None:
        self._timer = None
        while self._queue:
            transport = self._queue.popleft()
            if not transport.is_closing():
                transport.resume_reading()
                break
        if self._queue:
            self._schedule()
