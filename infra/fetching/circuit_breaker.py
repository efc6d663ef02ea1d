"""Breakers: a host that often times out is left alone for a while, so that it does not hold up the others."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from schemas.failures import Code, Failure, TryLater

FAIR_SECONDS = 0.9
"""A host that was given less time than this is not blamed for having needed more; a batch waits for one second."""
MOST_HOSTS = 1_000
"""Hosts with a bad record that are remembered: whoever controls a zone can name as many as they like."""


@dataclass
class _HostRecord:
    """How a host did of late."""

    blame: float = 0
    """One for each timeout, less a little for each answer."""
    asked_again: float = 0
    """The moment from which one picture may try whether it is back."""


class CircuitBreakers:
    """Refuses for `rest_s` seconds the pictures of hosts that timed out `after` times, or a little more often.

    Each answer pays for the share `forgiven` of a timeout: with 1 only timeouts in a row count; with .05 a host
    that times out once in ten pictures rests after some fifty. Then one picture is let through to see; another
    timeout, and the host rests again. Safe to call from several threads. `clock` gives seconds that never go back.
    """

    def __init__(
        self,
        after: int = 3,
        rest_s: float = 10,
        forgiven: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._after, self._rest_s, self._forgiven, self._clock = after, rest_s, forgiven, clock
        self._records: dict[str, _HostRecord] = {}
        self._lock = threading.Lock()

    @contextmanager
    def watching(self, host: str, seconds: float) -> Iterator[None]:
        """Ask `host` inside, for at most `seconds`; raises TryLater before that when the host rests."""
        self._admit(host)
        try:
            yield
        except Failure as failure:
            if failure.code is not Code.IMAGE_TIMEOUT:
                self._forgive(host)
            elif seconds >= FAIR_SECONDS:
                self._blame(host)
            raise
        self._forgive(host)

    def _admit(self, host: str) -> None:
        now = self._clock()
        with self._lock:
            record = self._records.get(host)
            if record is None or record.blame < self._after:
                return
            if now < record.asked_again:
                message = f"{host} timed out too often of late: it is asked again a little later"
                raise TryLater(Code.IMAGE_TIMEOUT, message, tried=False)
            record.asked_again = now + self._rest_s  # for the others, while this one tries

    def _blame(self, host: str) -> None:
        with self._lock:
            record = self._records.pop(host, None) or _HostRecord()
            record.blame += 1
            record.asked_again = self._clock() + self._rest_s
            self._records[host] = record  # at the end: the oldest is forgotten first
            if len(self._records) > MOST_HOSTS:
                del self._records[next(iter(self._records))]

    def _forgive(self, host: str) -> None:
        with self._lock:
            record = self._records.get(host)
            if record is None:
                return
            # A host that answers after a rest is back; one that answers between timeouts earns a little trust.
            record.blame = 0 if record.blame >= self._after else record.blame - self._forgiven
            if record.blame <= 0:
                del self._records[host]
