"""The retry function, with a clock and a random generator of the test's own."""

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from infra.retry import Retry


@dataclass
class Time:
    """A moment that only pauses move, and the pauses so far."""

    now: float = 0.0
    pauses: list[float] = field(default_factory=list)

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds

    def retry(self, seconds: float, jitter: float = 0.0, chance: float = 0.5) -> Retry:
        def uniform(low: float, high: float) -> float:
            return low + chance * (high - low)

        return Retry(seconds, 0.1, 0.4, jitter, clock=self.clock, sleep=self.sleep, uniform=uniform)


def failing(times: int, error: type[Exception] = ConnectionError) -> Callable[[], int]:
    """A step that fails so many times, and then returns how often it was called."""
    calls = 0

    def step() -> int:
        nonlocal calls
        calls += 1
        if calls <= times:
            raise error(f"failure {calls}")
        return calls

    return step


def test_a_step_that_succeeds_is_called_once() -> None:
    time = Time()
    assert time.retry(5).run(failing(0), ConnectionError) == 1
    assert time.pauses == []


def test_pauses_grow_up_to_the_longest() -> None:
    time = Time()
    assert time.retry(5).run(failing(5), ConnectionError) == 6
    assert time.pauses == pytest.approx([0.1, 0.2, 0.4, 0.4, 0.4])


def test_the_last_attempt_comes_at_the_deadline_and_its_error_is_raised() -> None:
    time = Time()
    with pytest.raises(ConnectionError, match="failure 4"):
        time.retry(0.5).run(failing(99), ConnectionError)
    assert time.pauses == pytest.approx([0.1, 0.2, 0.2])
    assert time.now == pytest.approx(0.5)


def test_without_time_there_is_one_attempt() -> None:
    time = Time()
    with pytest.raises(ConnectionError, match="failure 1"):
        time.retry(0).run(failing(1), ConnectionError)
    assert list(time.retry(0).attempts()) == [1]


def test_a_step_that_takes_long_counts_against_the_deadline() -> None:
    time = Time()

    def step() -> None:
        time.now += 0.3
        raise ConnectionError

    with pytest.raises(ConnectionError):
        time.retry(0.5).run(step, ConnectionError)
    assert time.pauses == pytest.approx([0.1])


@pytest.mark.parametrize("chance", [0.0, 1.0])
def test_jitter_makes_pauses_shorter_or_longer_but_never_passes_the_deadline(chance: float) -> None:
    time = Time()
    attempts = list(time.retry(2, jitter=0.2, chance=chance).attempts())
    assert time.pauses[:2] == pytest.approx([0.08, 0.16] if chance == 0 else [0.12, 0.24])
    assert time.now == pytest.approx(2)
    assert attempts == list(range(1, len(time.pauses) + 2))


def test_other_errors_are_raised_at_once() -> None:
    time = Time()
    with pytest.raises(ValueError, match="failure 1"):
        time.retry(5).run(failing(2, ValueError), (ConnectionError, TimeoutError))
    assert time.pauses == []


def test_a_function_can_choose_the_errors() -> None:
    time = Time()
    with pytest.raises(ConnectionError, match="failure 3"):
        time.retry(5).run(failing(9), lambda error: "3" not in str(error))


def test_a_stop_event_ends_it_with_the_last_error() -> None:
    stop = threading.Event()
    calls = 0

    def step() -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            stop.set()
        raise ConnectionError(f"failure {calls}")

    with pytest.raises(ConnectionError, match="failure 3"):
        Retry(math.inf, first_pause=0.001).run(step, ConnectionError, stop)
    assert calls == 3


def test_a_stop_event_cuts_a_pause_short() -> None:
    stop = threading.Event()
    begun = threading.Event()
    attempts: list[int] = []

    def count() -> None:
        for attempt in Retry(math.inf, first_pause=3_600, max_pause=3_600).attempts(stop):
            attempts.append(attempt)
            begun.set()

    thread = threading.Thread(target=count)
    thread.start()
    assert begun.wait(30)
    stop.set()
    thread.join(30)
    assert not thread.is_alive()
    assert attempts == [1]


def test_pauses_can_be_spent_by_the_caller() -> None:
    time = Time()
    for pause in time.retry(1).pauses():
        time.now += pause
    assert time.now == pytest.approx(1)
    assert time.pauses == []
