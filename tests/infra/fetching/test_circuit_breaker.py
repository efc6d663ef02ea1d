"""Circuit breakers, with a clock of the test's own."""

from contextlib import suppress

import pytest

from infra.fetching.circuit_breaker import MAX_HOSTS, MIN_TIMEOUT_SECONDS, CircuitBreakers
from schemas.failures import Code, Failure


class Clock:
    """A moment that the test moves."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breakers(clock: Clock) -> CircuitBreakers:
    return CircuitBreakers(after=3, rest_s=10, clock=clock)


def ask(breakers: CircuitBreakers, *codes: Code | None, host: str = "slow.test", seconds: float = 8) -> list[bool]:
    """Fetch pictures with these failures, or none; whether each fetch was allowed."""
    times = []
    for code in codes:
        times.append(False)
        with suppress(Failure), breakers.guard(host, seconds):
            times[-1] = True
            if code is not None:
                raise Failure(code, "as told")
    return times


LATE = Code.IMAGE_TIMEOUT


def test_a_host_rests_after_some_timeouts_in_a_row(breakers: CircuitBreakers, clock: Clock) -> None:
    assert ask(breakers, LATE, LATE, LATE) == [True] * 3
    assert ask(breakers, LATE, LATE) == [False, False]
    assert ask(breakers, None, host="other.test") == [True]
    clock.now = 9.9
    assert ask(breakers, LATE) == [False]


@pytest.mark.parametrize("code", [None, Code.IMAGE_MISSING])
def test_answers_in_between_make_good_for_timeouts(breakers: CircuitBreakers, code: Code | None) -> None:
    assert all(ask(breakers, *[LATE, LATE, code, code] * 9))


@pytest.mark.parametrize("code", [None, Code.IMAGE_MISSING])
def test_for_the_hasty_answers_make_good_for_timeouts_slowly(clock: Clock, code: Code | None) -> None:
    breakers = CircuitBreakers(after=3, forgiven=0.05, clock=clock)
    rarely = [LATE, *[code] * 20]
    assert all(ask(breakers, *rarely * 10))
    often = [LATE, *[code] * 9]
    times = ask(breakers, *often * 10)
    assert times.index(False) == 41  # 5 timeouts, less 36 answers at a twentieth each, are 3.2


def test_after_its_rest_one_picture_tries_whether_it_is_back(breakers: CircuitBreakers, clock: Clock) -> None:
    ask(breakers, LATE, LATE, LATE)
    clock.now = 10
    with breakers.guard("slow.test", 8):
        assert ask(breakers, None) == [False], "one picture alone"
    assert ask(breakers, LATE, LATE) == [True, True]


def test_a_host_that_is_still_slow_after_its_rest_rests_again(breakers: CircuitBreakers, clock: Clock) -> None:
    ask(breakers, LATE, LATE, LATE)
    for clock.now in (10, 20, 30):
        assert ask(breakers, LATE, LATE) == [True, False]


def test_a_host_with_little_time_is_not_blamed(breakers: CircuitBreakers) -> None:
    assert ask(breakers, *[LATE] * 9, seconds=MIN_TIMEOUT_SECONDS / 2) == [True] * 9


def test_hosts_without_number_are_not_remembered_without_end(breakers: CircuitBreakers) -> None:
    for n in range(MAX_HOSTS + 1):
        ask(breakers, LATE, LATE, LATE, host=f"{n}.test")
    assert ask(breakers, None, host="0.test") == [True]
    assert ask(breakers, None, host="1.test") == [False]
