"""Searches that were asked here: their answers, for a while, and the same answer to the same idempotency key."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from producers.gateway.problems import Problem
from schemas.results import SearchResult

MOST, SECONDS = 1_000, 600.0
"""Searches that are remembered, and for how long: as long as Kafka keeps their results."""


@dataclass
class Asked:
    """A search, on its way or answered."""

    answer: "asyncio.Task[SearchResult]"
    body: bytes
    """Digest of what was asked."""
    at: float


class Searches:
    """Remembers searches by their ids; for the tasks of one event loop."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, most: int = MOST) -> None:
        self._clock, self._most = clock, most
        self._known: OrderedDict[str, Asked] = OrderedDict()

    def ask(self, name: str, body: bytes, asking: Callable[[], Coroutine[Any, Any, SearchResult]]) -> Asked:
        """The search of this id: the one that was asked already, or a new one.

        Raises Problem when something else was asked under this id.
        """
        self._forget()
        digest = sha256(body).digest()
        known = self._known.get(name)
        if known is None:
            known = self._known[name] = Asked(asyncio.create_task(asking()), digest, self._clock())
        elif known.body != digest:
            raise Problem(422, f"something else was asked as `{name}` before: give each request an id of its own")
        return known

    def find(self, name: str) -> Asked:
        """The search of this id; raises Problem when none is known."""
        self._forget()
        if name not in self._known:
            raise Problem(404, f"no search `{name[:64]}` was asked here in the last {SECONDS / 60:g} minutes")
        return self._known[name]

    def _forget(self) -> None:
        """Leave out the oldest ones: those that are too old or too many, but none that is on its way."""
        while self._known:
            oldest = next(iter(self._known.values()))
            is_kept = len(self._known) <= self._most and self._clock() - oldest.at < SECONDS
            if is_kept or not oldest.answer.done():
                return
            self._known.popitem(last=False)
