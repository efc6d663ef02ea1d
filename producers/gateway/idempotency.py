"""What this gateway was asked and what came of it, for a while: the same answer to the same idempotency key."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Generic, TypeVar

from producers.gateway.problem_details import Problem

MOST, SECONDS = 1_000, 600.0
"""So many are remembered, and for so long: as long as Kafka keeps results of searches."""
ROOM = 32 << 20
"""Bytes that all remembered answers may take: results carry their thumbnails."""

Answer = TypeVar("Answer")
Name = tuple[str, str]
"""A tenant, and what it calls something."""


@dataclass
class RememberedRequest(Generic[Answer]):
    """Something that was asked: on its way, or answered."""

    answer: "asyncio.Task[Answer]"
    body: bytes
    """Digest of what was asked."""
    at: float
    accepted: asyncio.Event
    """Set once other gateways can know of it."""

    async def acceptance(self) -> None:
        """Wait until other gateways can know of it; raises what went wrong before."""
        accepted = asyncio.ensure_future(self.accepted.wait())
        try:
            await asyncio.wait({accepted, self.answer}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            accepted.cancel()
        if not self.accepted.is_set():
            await self.outcome()

    async def outcome(self) -> Answer:
        """What came of it; who stops waiting does not end it for the others."""
        return await asyncio.shield(self.answer)

    @property
    def has_failed(self) -> bool:
        """Whether nothing came of it, so that it may be asked again."""
        return self.answer.done() and (self.answer.cancelled() or self.answer.exception() is not None)


class IdempotencyCache(Generic[Answer]):
    """Remembers by names; for the tasks of one event loop."""

    def __init__(
        self,
        size: Callable[[Answer], int] = lambda _answer: 0,
        clock: Callable[[], float] = time.monotonic,
        most: int = MOST,
        room: int = ROOM,
    ) -> None:
        self._size, self._clock, self._most, self._room = size, clock, most, room
        self._known: OrderedDict[Name, RememberedRequest[Answer]] = OrderedDict()

    def ask(
        self, name: Name, body: bytes, asking: Callable[[asyncio.Event], Coroutine[Any, Any, Answer]]
    ) -> RememberedRequest[Answer]:
        """What was asked by this name already, unless it has failed, or else anew.

        `asking` sets the event that it is given once other gateways can know of it.

        Raises Problem when something else was asked by this name.
        """
        self._forget()
        digest, known, accepted = sha256(body).digest(), self._known.get(name), asyncio.Event()
        if known is None or known.has_failed:
            known = self._known[name] = RememberedRequest(
                asyncio.create_task(asking(accepted)), digest, self._clock(), accepted
            )
        elif known.body != digest:
            raise Problem(
                422, f"something else was asked as `{name[1]}` before: give each request an id of its own"
            )
        return known

    def find(self, name: Name) -> RememberedRequest[Answer] | None:
        """What was asked by this name, if anything was."""
        self._forget()
        return self._known.get(name)

    def _forget(self) -> None:
        """Leave out the oldest ones: what is too old, too many or too large, but none that is on its way."""
        taken = sum(map(self._taken, self._known.values()))
        while self._known:
            oldest = next(iter(self._known.values()))
            is_young = self._clock() - oldest.at < SECONDS
            is_kept = is_young and len(self._known) <= self._most and taken <= self._room
            if is_kept or not oldest.answer.done():
                return
            self._known.popitem(last=False)
            taken -= self._taken(oldest)

    def _taken(self, asked: RememberedRequest[Answer]) -> int:
        return self._size(asked.answer.result()) if asked.answer.done() and not asked.has_failed else 0
