"""What is still coming of bodies that nobody wants: it is read slowly, so that other requests go first."""

import asyncio
from collections import deque

PART_SECONDS = 0.008
"""Between two parts: one has up to 256 KiB, so at most 32 MiB/s are read."""


class BodyDrain:
    """Connections whose bodies are read on: one part at a time, in turn."""

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Transport] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def add(self, transport: asyncio.Transport) -> None:
        """Read nothing more of this connection until it is its turn."""
        transport.pause_reading()
        self._waiting.append(transport)
        self._schedule()

    def _schedule(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(PART_SECONDS, self._read_part)

    def _read_part(self) -> None:
        self._timer = None
        while self._waiting:
            transport = self._waiting.popleft()
            if not transport.is_closing():
                transport.resume_reading()
                break
        if self._waiting:
            self._schedule()
