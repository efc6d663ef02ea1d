"""Body limits: bound the size and rate of request bodies and the memory of all of them; drain refused ones."""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope

from infra.config.gateway import GatewaySettings
from producers.gateway.problem_details import Problem
from producers.gateway.request_body import JSON, MEDIUM_BYTES, SMALL_BYTES, content_type

MIN_RATE = 16 << 10
"""Bytes per second that a body must reach on average, apart from the pause that the settings allow."""
MAX_LARGE_RATE = 32 << 20
"""Bytes per second read of all large bodies together; a higher rate would take a core away from other requests."""
MEDIUM_SHARE = 4
"""Part of the memory for bodies that is for those of up to MEDIUM_BYTES; a photo of 50 MB fits into the rest."""
WAIT_SECONDS = 5.0
"""How long a request waits for memory before it gets a 503 with Retry-After."""
MAX_WAITING = 64
"""Requests that may wait for memory at a time; further ones get a 503 at once."""
READ_INTERVAL_SECONDS = 0.008
"""Seconds between two reads of refused bodies. One read returns up to 256 KiB, so at most 32 MiB/s are read."""
LEASE = "lookstream.body"
"""Key in the ASGI scope of a request for the BodyLease of its body."""


class BodyLease:
    """Memory that a request has reserved for its body."""

    def __init__(self, pool: "BodyPool | None" = None, address: str = "", size: int = 0) -> None:
        self._pool, self._address, self._size = pool, address, size

    def release(self) -> None:
        """Return the memory to the pool; a second call has no effect."""
        if self._pool is not None:
            self._pool.release(self._address, self._size)
            self._pool = None


@dataclass
class _WaitingBody:
    address: str
    size: int
    granted: asyncio.Future[None]


class BodyPool:
    """Bytes for request bodies, granted in order of request; one address gets at most half of them."""

    def __init__(self, room: int, wait_s: float = WAIT_SECONDS) -> None:
        self._capacity, self._wait_s = room, wait_s
        self._reserved = Counter[str]()
        self._queue: deque[_WaitingBody] = deque()

    async def reserve(self, address: str, size: int) -> BodyLease:
        """Wait for memory for a body; raises Problem (503) if it does not become free in time."""
        if not self._queue and self._fits(address, size):
            self._reserved[address] += size
            return BodyLease(self, address, size)
        if len(self._queue) >= MAX_WAITING:
            raise _no_memory()
        waiting = _WaitingBody(address, size, asyncio.get_running_loop().create_future())
        self._queue.append(waiting)
        self._grant_waiting()
        lease: BodyLease | None = None
        try:
            async with asyncio.timeout(self._wait_s):
                await waiting.granted
            lease = BodyLease(self, address, size)
        except TimeoutError:
            raise _no_memory() from None
        finally:
            if lease is None:
                self._withdraw(waiting)
        return lease

    def release(self, address: str, size: int) -> None:
        """Release the memory, and grant it to waiting requests."""
        self._reserved[address] -= size
        if self._reserved[address] <= 0:
            del self._reserved[address]
        self._grant_waiting()

    def _fits(self, address: str, size: int) -> bool:
        reserved_here = self._reserved.get(address, 0)
        share = max(self._capacity // 2, size)
        return self._reserved.total() + size <= max(self._capacity, size) and reserved_here + size <= share

    def _grant_waiting(self) -> None:
        """Grant the waiting requests that fit, in order. An address at its share does not block the others."""
        for waiting in list(self._queue):
            if not waiting.granted.done() and self._fits(waiting.address, waiting.size):
                self._queue.remove(waiting)
                self._reserved[waiting.address] += waiting.size
                waiting.granted.set_result(None)

    def _withdraw(self, waiting: _WaitingBody) -> None:
        if waiting in self._queue:
            self._queue.remove(waiting)
        elif waiting.granted.done() and not waiting.granted.cancelled():
            self.release(waiting.address, waiting.size)


class ReadRateLimit:
    """Rate limit, in bytes per second, for the reading of all large bodies together."""

    def __init__(self, rate: float = MAX_LARGE_RATE) -> None:
        self._rate, self._free_at = rate, 0.0

    async def wait(self, size: int) -> None:
        """Wait until `size` more bytes are within the rate."""
        now = asyncio.get_running_loop().time()
        self._free_at = max(self._free_at, now) + size / self._rate
        await asyncio.sleep(self._free_at - now)


class BodyDrain:
    """Connections whose refused bodies are read to their ends, round robin, so that other requests go first."""

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


class BodyLimits:
    """Enforces the limits of request bodies; for the tasks of one event loop."""

    def __init__(self, settings: GatewaySettings, record_bytes: int) -> None:
        self._settings, self._record_bytes = settings, record_bytes
        medium_bytes = max((settings.bodies_mb << 20) // MEDIUM_SHARE, MEDIUM_BYTES)
        large_bytes = max((settings.bodies_mb << 20) - medium_bytes, settings.max_bytes, record_bytes)
        self._medium, self._large = BodyPool(medium_bytes), BodyPool(large_bytes)
        self._pace = ReadRateLimit()

    @asynccontextmanager
    async def reading(self, scope: Scope, receive: Receive, address: str) -> AsyncIterator[Receive]:
        """An ASGI `receive` with the limits; raises Problem if the body is too large or no memory becomes free."""
        headers = Headers(scope=scope)
        max_bytes = self._limit_of(headers)
        size = _declared(headers, max_bytes)
        lease = scope[LEASE] = await self._lease(address, size)
        try:
            pace = self._pace if size > MEDIUM_BYTES else None
            yield _BodyReader(receive, max_bytes, self._settings.request_s, pace).receive
        finally:
            lease.release()

    def _limit_of(self, headers: Headers) -> int:
        if content_type(headers) == JSON:
            return min(self._record_bytes, self._settings.max_bytes)
        return self._settings.max_bytes

    async def _lease(self, address: str, size: int) -> BodyLease:
        if size <= SMALL_BYTES:
            return BodyLease()
        return await (self._medium if size <= MEDIUM_BYTES else self._large).reserve(address, size)


class _BodyReader:
    """Receives one body. Pauses use up a budget of `pause_s` seconds, which received bytes refill at MIN_RATE."""

    def __init__(self, receive: Receive, max_bytes: int, pause_s: float, pace: ReadRateLimit | None) -> None:
        self._receive, self._max_bytes, self._pause_s, self._pace = receive, max_bytes, pause_s, pace
        self._budget_s, self._received, self._is_complete = pause_s, 0, False

    async def receive(self) -> Message:
        """The next ASGI message; raises Problem if the body is too large (413) or too slow (408)."""
        if self._is_complete:
            return await self._receive()
        started = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(self._budget_s):
                message = await self._receive()
        except TimeoutError:
            raise Problem(
                408, f"the body was received too slowly: send at least {MIN_RATE} bytes per second"
            ) from None
        self._account(message, asyncio.get_running_loop().time() - started)
        if self._pace is not None:
            await self._pace.wait(len(message.get("body", b"")))
        return message

    def _account(self, message: Message, seconds: float) -> None:
        part_bytes = len(message.get("body", b""))
        self._received += part_bytes
        self._budget_s = min(self._pause_s, self._budget_s - seconds + part_bytes / MIN_RATE)
        self._is_complete = not message.get("more_body", False)
        if self._received > self._max_bytes:
            raise _too_large(self._received, self._max_bytes)


def _declared(headers: Headers, max_bytes: int) -> int:
    """The declared size of a body in bytes; `max_bytes` if it is not declared. Raises Problem (413)."""
    if "transfer-encoding" in headers:
        return max_bytes
    length = headers.get("content-length", "0")
    if not length.isdecimal() or int(length) > max_bytes:
        raise _too_large(length[:20], max_bytes)
    return int(length)


def _too_large(size: object, max_bytes: int) -> Problem:
    return Problem(
        413, f"the body has {size} bytes, the maximum is {max_bytes}: send less data or smaller pictures"
    )


def _no_memory() -> Problem:
    return Problem(503, "too many large bodies are being read: retry later", {"Retry-After": "5"})
