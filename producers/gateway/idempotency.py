"""Idempotency cache: recent requests and their answers, so that a repeated idempotency key gets the same answer."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Generic, TypeVar

from producers.gateway.problem_details import Problem

MAX_REQUESTS, KEEP_SECONDS = 1_000, 600.0
"""How many requests are cached, and for how long: as long as Kafka retains search results."""
MAX_BYTES = 32 << 20
"""Total size of the cached answers in bytes; results contain thumbnails."""

Response = TypeVar("Response")
RequestName = tuple[str, str]
"""A tenant, and the name that it gave the request."""


@dataclass
class RememberedRequest(Generic[Response]):
    """A request that is in progress or answered."""

    answer: "asyncio.Task[Response]"
    digest: bytes
    """SHA-256 of the `body` that identifies the request's content."""
    started: float
    """Time by the clock of the cache, in seconds."""
    accepted: asyncio.Event
    """Set once other gateways can find the request."""

    async def wait_accepted(self) -> None:
        """Wait until other gateways can find the request; raises its error if it fails before."""
        accepted = asyncio.ensure_future(self.accepted.wait())
        try:
            await asyncio.wait({accepted, self.answer}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            accepted.cancel()
        if not self.accepted.is_set():
            await self.outcome()

    async def outcome(self) -> Response:
        """Wait for the answer. The request is shielded: if one waiter is cancelled, it continues for the others."""
        return await asyncio.shield(self.answer)

    @property
    def has_failed(self) -> bool:
        """Whether the request was cancelled or raised, so that it may be sent again."""
        return self.answer.done() and (self.answer.cancelled() or self.answer.exception() is not None)


class IdempotencyCache(Generic[Response]):
    """Caches requests by tenant and name; for the tasks of one event loop."""

    def __init__(
        self,
        size: Callable[[Response], int] = lambda _answer: 0,
        room: int = MAX_BYTES,
    ) -> None:
        self._size_of, self._max_bytes = size, room
        self._requests: OrderedDict[RequestName, RememberedRequest[Response]] = OrderedDict()

    def get_or_send(
        self, name: RequestName, body: bytes, send: Callable[[asyncio.Event], Coroutine[Any, Any, Response]]
    ) -> RememberedRequest[Response]:
        """The request of this name, sent unless it is cached and has not failed.

        `send` sends it, and sets the given event once other gateways can find it. Raises Problem (422) if another
        body was sent under this name.
        """
        self._evict()
        digest, cached, accepted = sha256(body).digest(), self._requests.get(name), asyncio.Event()
        if cached is None or cached.has_failed:
            cached = self._requests[name] = RememberedRequest(
                asyncio.create_task(send(accepted)), digest, time.monotonic(), accepted
            )
        elif cached.digest != digest:
            raise Problem(422, f"the id `{name[1]}` belongs to another request: give each request its own id")
        return cached

    def find(self, name: RequestName) -> RememberedRequest[Response] | None:
        """The cached request of this name, if there is one."""
        self._evict()
        return self._requests.get(name)

    def _evict(self) -> None:
        """Evict the oldest requests while they are too old, too many or too large; never one in progress."""
        total_bytes = sum(map(self._answer_bytes, self._requests.values()))
        while self._requests:
            oldest = next(iter(self._requests.values()))
            is_young = time.monotonic() - oldest.started < KEEP_SECONDS
            fits = is_young and len(self._requests) <= MAX_REQUESTS and total_bytes <= self._max_bytes
            if fits or not oldest.answer.done():
                return
            self._requests.popitem(last=False)
            total_bytes -= self._answer_bytes(oldest)

    def _answer_bytes(self, request: RememberedRequest[Response]) -> int:
        is_answered = request.answer.done() and not request.has_failed
        return self._size_of(request.answer.result()) if is_answered else 0
