"""Retry: one helper for every loop that tries again, with a deadline, growing pauses, jitter and a stop event."""

import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

T = TypeVar("T")

RetryOn: TypeAlias = type[Exception] | tuple[type[Exception], ...] | Callable[[Exception], bool]
"""Which errors are worth another attempt: classes, or a function of the error."""


@dataclass(frozen=True)
class Retry:
    """How long and how often something is tried again. Holds no state: one serves any number of threads."""

    seconds: float
    """When this has passed no pause begins; the last attempt comes at its end. 0: one attempt; math.inf: no end."""
    first: float = 0.05
    """Seconds of the first pause; each one after it is twice as long."""
    longest: float = 1.0
    """Seconds that no pause exceeds, jitter aside."""
    jitter: float = 0.2
    """Share by which a pause may be shorter or longer, so that many callers do not come back at one moment."""
    clock: Callable[[], float] = time.monotonic
    """Seconds that never go back."""
    sleep: Callable[[float], object] = time.sleep
    """How a pause without a stop event is spent."""
    uniform: Callable[[float, float], float] = random.uniform

    def run(self, step: Callable[[], T], retry_on: RetryOn, stop: threading.Event | None = None) -> T:
        """What `step` returns. Raises its last error once the deadline has passed, `stop` is set, or at once when
        it is none of `retry_on`.
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
        """The number of each attempt, from 1: the first at once, the others after a pause, until the deadline or
        `stop`. For loops that look whether something is there yet; they return or break when it is.
        """
        pauses = self.pauses(stop)
        yield 1
        for number, pause in enumerate(pauses, 2):
            if self._wait(pause, stop):
                return
            yield number

    def pauses(self, stop: threading.Event | None = None) -> Iterator[float]:
        """Seconds of each pause, for a loop that spends them itself, until the deadline (from now) or `stop`."""
        return self._pauses(self.clock() + self.seconds, stop)

    def _pauses(self, deadline: float, stop: threading.Event | None) -> Iterator[float]:
        pause = self.first
        while not (stop and stop.is_set()) and (left := deadline - self.clock()) > 0:
            yield min(left, pause * self.uniform(1 - self.jitter, 1 + self.jitter))
            pause = min(2 * pause, self.longest)

    def _wait(self, seconds: float, stop: threading.Event | None) -> bool:
        """Spend a pause; whether `stop` was set meanwhile."""
        if stop is None:
            self.sleep(seconds)
            return False
        return stop.wait(seconds)


@dataclass(frozen=True)
class HoldTimer:
    """A wait in progress: its reason, and its start by the monotonic clock."""

    why: str
    since: float

    @classmethod
    def again(cls, before: "HoldTimer | None", why: object) -> "HoldTimer":
        """The same wait, which goes on, or one that begins."""
        return cls(str(why), time.monotonic() if before is None else before.since)


def _matches(error: Exception, retry_on: RetryOn) -> bool:
    """Whether this error is worth another attempt."""
    if isinstance(retry_on, type | tuple):
        return isinstance(error, retry_on)
    return retry_on(error)
