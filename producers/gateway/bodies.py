"""Request bodies: how large one may be, how slowly it may come, and how much memory all of them may take."""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope

from infra.config.settings import GatewaySettings
from producers.gateway.problem_details import Problem
from producers.gateway.request_body import JSON, MEDIUM_BYTES, SMALL_BYTES, content_type

LEAST_RATE = 16 << 10
"""Bytes a second that a body must keep up, with the pause that the settings allow."""
LARGE_RATE = 32 << 20
"""Bytes a second that are read of all large bodies together: faster, they would take a core from other requests."""
WAIT_SECONDS = 5.0
"""How long a request waits for memory before it is told to come again."""
WAITING = 64
"""Requests that wait for memory at a time; more are told so at once."""
LEASE = "lookstream.body"
"""Where a request's scope has the lease of its body."""


class BodyLease:
    """Memory that a request has reserved for its body."""

    def __init__(self, pool: "BodyPool | None" = None, address: str = "", size: int = 0) -> None:
        self._pool, self._address, self._size = pool, address, size

    def release(self) -> None:
        """The body is no longer needed; a second call changes nothing."""
        if self._pool is not None:
            self._pool.give_back(self._address, self._size)
            self._pool = None


@dataclass
class _WaitingBody:
    address: str
    size: int
    granted: asyncio.Future[None]


class BodyPool:
    """Bytes for bodies, handed out in order; one address gets half of them at most."""

    def __init__(self, room: int, wait_s: float = WAIT_SECONDS) -> None:
        self._room, self._wait_s = room, wait_s
        self._taken = Counter[str]()
        self._queue: deque[_WaitingBody] = deque()

    async def reserve(self, address: str, size: int) -> BodyLease:
        """Wait for memory for a body; raises Problem when none becomes free in time."""
        if not self._queue and self._fits(address, size):
            self._taken[address] += size
            return BodyLease(self, address, size)
        if len(self._queue) >= WAITING:
            raise _no_room()
        waiting = _WaitingBody(address, size, asyncio.get_running_loop().create_future())
        self._queue.append(waiting)
        self._serve()
        lease: BodyLease | None = None
        try:
            async with asyncio.timeout(self._wait_s):
                await waiting.granted
            lease = BodyLease(self, address, size)
        except TimeoutError:
            raise _no_room() from None
        finally:
            if lease is None:
                self._withdraw(waiting)
        return lease

    def give_back(self, address: str, size: int) -> None:
        """Hand memory to those who wait for it."""
        self._taken[address] -= size
        if self._taken[address] <= 0:
            del self._taken[address]
        self._serve()

    def _fits(self, address: str, size: int) -> bool:
        own = self._taken.get(address, 0)
        share = max(self._room // 2, size)
        return self._taken.total() + size <= max(self._room, size) and own + size <= share

    def _serve(self) -> None:
        """Grant, in order, what fits: an address that has had its share holds up no other."""
        for waiting in list(self._queue):
            if not waiting.granted.done() and self._fits(waiting.address, waiting.size):
                self._queue.remove(waiting)
                self._taken[waiting.address] += waiting.size
                waiting.granted.set_result(None)

    def _withdraw(self, waiting: _WaitingBody) -> None:
        if waiting in self._queue:
            self._queue.remove(waiting)
        elif waiting.granted.done() and not waiting.granted.cancelled():
            self.give_back(waiting.address, waiting.size)


class ReadPace:
    """Holds those who read large bodies to so many bytes a second, all of them together."""

    def __init__(self, rate: float = LARGE_RATE) -> None:
        self._rate, self._free_at = rate, 0.0

    async def wait(self, size: int) -> None:
        """Wait until so many bytes more may have been read."""
        now = asyncio.get_running_loop().time()
        self._free_at = max(self._free_at, now) + size / self._rate
        await asyncio.sleep(self._free_at - now)


class BodyLimits:
    """The limits of bodies; for the tasks of one event loop."""

    def __init__(self, settings: GatewaySettings, record_bytes: int) -> None:
        self._settings, self._record_bytes = settings, record_bytes
        half = max(settings.bodies_mb << 19, settings.max_bytes, record_bytes)
        self._medium, self._large = BodyPool(half), BodyPool(half)
        self._pace = ReadPace()

    @asynccontextmanager
    async def reading(self, scope: Scope, receive: Receive, address: str) -> AsyncIterator[Receive]:
        """How to receive a body within the limits; raises Problem when it is too large, or there is no room."""
        headers = Headers(scope=scope)
        most = self._most(headers)
        size = _declared(headers, most)
        lease = scope[LEASE] = await self._lease(address, size)
        try:
            pace = self._pace if size > MEDIUM_BYTES else None
            yield _BodyReader(receive, most, self._settings.request_s, pace).receive
        finally:
            lease.release()

    def _most(self, headers: Headers) -> int:
        if content_type(headers) == JSON:
            return min(self._record_bytes, self._settings.max_bytes)
        return self._settings.max_bytes

    async def _lease(self, address: str, size: int) -> BodyLease:
        if size <= SMALL_BYTES:
            return BodyLease()
        return await (self._medium if size <= MEDIUM_BYTES else self._large).reserve(address, size)


class _BodyReader:
    """One body: it may stop for so many seconds in all, and earns them back by the bytes that come."""

    def __init__(self, receive: Receive, most: int, pause_s: float, pace: ReadPace | None) -> None:
        self._receive, self._most, self._pause_s, self._pace = receive, most, pause_s, pace
        self._left_s, self._bytes, self._is_complete = pause_s, 0, False

    async def receive(self) -> Message:
        """The next part; raises Problem when the body is too large, or too slow."""
        if self._is_complete:
            return await self._receive()
        began = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(self._left_s):
                message = await self._receive()
        except TimeoutError:
            raise Problem(408, f"the body came too slowly: send at least {LEAST_RATE} bytes a second") from None
        self._take(message, asyncio.get_running_loop().time() - began)
        if self._pace is not None:
            await self._pace.wait(len(message.get("body", b"")))
        return message

    def _take(self, message: Message, seconds: float) -> None:
        part = len(message.get("body", b""))
        self._bytes += part
        self._left_s = min(self._pause_s, self._left_s - seconds + part / LEAST_RATE)
        self._is_complete = not message.get("more_body", False)
        if self._bytes > self._most:
            raise _too_large(self._bytes, self._most)


def _declared(headers: Headers, most: int) -> int:
    """How large a body says it is; the largest possible, when it does not say. Raises Problem."""
    if "transfer-encoding" in headers:
        return most
    length = headers.get("content-length", "0")
    if not length.isdecimal() or int(length) > most:
        raise _too_large(length[:20], most)
    return int(length)


def _too_large(size: object, most: int) -> Problem:
    return Problem(413, f"the body has {size} bytes, and may have {most}: send less, or smaller pictures")


def _no_room() -> Problem:
    return Problem(503, "too many large bodies are being read: send it again in a moment", {"Retry-After": "5"})
