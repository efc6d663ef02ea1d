"""Circuit breaker: pause requests to a host that often times out, so that it does not delay other hosts."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from schemas.failures import Code, Failure, TryLater

MIN_TIMEOUT_SECONDS = 0.9
"""A timeout does not count against a host if the request was allowed less time; a batch waits for one second."""
MAX_HOSTS = 1_000
"""Maximum number of stored hosts, because the owner of a DNS zone can create any number of names."""


@dataclass
class _HostRecord:
    """Recent timeouts of a host."""

    score: float = 0
    """Number of timeouts, reduced by `forgiven` for each answer."""
    probe_at: float = 0
    """Time from which one request may probe the host, on the breaker's clock."""

    def add_timeout(self, probe_at: float) -> None:
        """Count a timeout; the host may be probed from `probe_at`."""
        self.score += 1
        self.probe_at = probe_at

    def postpone_probe(self, probe_at: float) -> None:
        """Block other requests until `probe_at`, during a probe."""
        self.probe_at = probe_at

    def add_answer(self, after: int, forgiven: float) -> None:
        """Count an answer: the answer to a probe closes the breaker, any other one only reduces the score."""
        self.score = 0 if self.score >= after else self.score - forgiven


class CircuitBreakers:
    """Pauses requests to a host for `rest_s` seconds when the score of its timeouts reaches `after`.

    A timeout adds 1 to the score, an answer subtracts `forgiven`: with 1 only consecutive timeouts count; with .05
    a host that times out for one picture in ten is paused after about fifty. After the pause one request probes the
    host (half-open); another timeout pauses it again. Thread-safe. `clock` is monotonic, in seconds.
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
    def guard(self, host: str, seconds: float) -> Iterator[None]:
        """Guard a request to `host` of at most `seconds`; raises TryLater at once while the host is paused."""
        self._admit(host)
        try:
            yield
        except Failure as failure:
            if failure.code is not Code.IMAGE_TIMEOUT:
                self._record_answer(host)
            elif seconds >= MIN_TIMEOUT_SECONDS:
                self._record_timeout(host)
            raise
        self._record_answer(host)

    def _admit(self, host: str) -> None:
        now = self._clock()
        with self._lock:
            record = self._records.get(host)
            if record is None or record.score < self._after:
                return
            if now < record.probe_at:
                message = f"{host} timed out too often: the picture is tried again later"
                raise TryLater(Code.IMAGE_TIMEOUT, message, tried=False)
            record.postpone_probe(now + self._rest_s)

    def _record_timeout(self, host: str) -> None:
        with self._lock:
            record = self._records.pop(host, None) or _HostRecord()
            record.add_timeout(self._clock() + self._rest_s)
            self._records[host] = record  # moved to the end: the oldest is removed first
            if len(self._records) > MAX_HOSTS:
                del self._records[next(iter(self._records))]

    def _record_answer(self, host: str) -> None:
        with self._lock:
            record = self._records.get(host)
            if record is None:
                return
            record.add_answer(self._after, self._forgiven)
            if record.score <= 0:
                del self._records[host]
