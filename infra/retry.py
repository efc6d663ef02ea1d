"""Retry: repeat a call in this process, with a deadline, exponential backoff, jitter and a stop event.

The delays of failed events, which wait in retry topics, are in schemas/topics.py.
"""

import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

T = TypeVar("T")

RetryOn: TypeAlias = type[Exception] | tuple[type[Exception], ...] | Callable[[Exception], bool]
"""Errors that are retried: exception classes, or a predicate."""


@dataclass(frozen=True)
class Retry:
    """Retry policy. Stateless, so one instance may be shared by threads."""

    seconds: float
    """Time limit: no pause starts after it; the last attempt is at its end. 0: one attempt; math.inf: no limit."""
    first_pause: float = 0.05
    """First pause in seconds; each following pause is twice as long."""
    max_pause: float = 1.0
    """Longest pause in seconds, without jitter."""
    jitter: float = 0.2
    """Share by which a pause is randomly shortened or extended, so that callers do not retry together."""
    clock: Callable[[], float] = time.monotonic
    """Monotonic clock in seconds."""
    sleep: Callable[[float], object] = time.sleep
    """Sleeps for a pause if there is no stop event."""
    uniform: Callable[[float, float], float] = random.uniform

    def run(self, step: Callable[[], T], retry_on: RetryOn, stop: threading.Event | None = None) -> T:
        """The result of `step`, which is retried on the errors in `retry_on`.

        Raises the last error once the deadline has passed or `stop` is set, and any other error at once.
        """
        pauses = self.pauses(stop)
        while True:
            try:
                return step()
            except Exception as error:
                pause = next(pauses, None) if _matches(error, retry_on) else None
                if pause is None or self._wait(pause, stop):
                    raise

    def attempts(self, stop: threading.Event | None = None) -> Iterator[int]:
        """The number of each attempt, from 1; all but the first after a pause, until the deadline or `stop`.

        For polling loops, which return or break on success.
        """
        pauses = self.pauses(stop)
        yield 1
        for number, pause in enumerate(pauses, 2):
            if self._wait(pause, stop):
                return
            yield number

    def pauses(self, stop: threading.Event | None = None) -> Iterator[float]:
        """Pauses in seconds for a loop that sleeps itself, until the deadline (counted from now) or `stop`."""
        return self._pauses(self.clock() + self.seconds, stop)

    def _pauses(self, deadline: float, stop: threading.Event | None) -> Iterator[float]:
        pause = self.first_pause
        while not (stop and stop.is_set()) and (remaining := deadline - self.clock()) > 0:
            yield min(remaining, pause * self.uniform(1 - self.jitter, 1 + self.jitter))
            pause = min(2 * pause, self.max_pause)

    def _wait(self, seconds: float, stop: threading.Event | None) -> bool:
        """Sleep; returns whether `stop` was set meanwhile."""
        if stop is None:
            self.sleep(seconds)
            return False
        return stop.wait(seconds)


@dataclass(frozen=True)
class HoldTimer:
    """A wait in progress: its reason, and its start on the monotonic clock."""

    reason: str
    since: float

    @classmethod
    def continue_or_start(cls, before: "HoldTimer | None", why: object) -> "HoldTimer":
        """Continue the wait `before` with the reason `why`, or start a new one."""
        return cls(str(why), time.monotonic() if before is None else before.since)


def _matches(error: Exception, retry_on: RetryOn) -> bool:
    """Whether an error is retried."""
    if isinstance(retry_on, type | tuple):
        return isinstance(error, retry_on)
    return retry_on(error)
