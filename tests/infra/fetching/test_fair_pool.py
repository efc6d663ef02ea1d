"""The fair pool: hosts take turns, waiting jobs use no thread, and the caller gets the error of a job."""

import threading
from collections.abc import Iterator
from functools import partial

import pytest

from infra.fetching.fair_pool import FairPool


@pytest.fixture
def turns() -> Iterator[FairPool]:
    opened = FairPool("test", max_threads=3, per_host=2)
    yield opened
    opened.close()


def test_a_job_gives_its_result_or_what_it_raised(turns: FairPool) -> None:
    assert turns.submit("a", lambda: 7).result(5) == 7
    with pytest.raises(ZeroDivisionError):
        turns.submit("a", lambda: 1 // 0).result(5)
    assert turns.submit("a", lambda: 8).result(5) == 8


def test_a_host_that_is_stuck_leaves_room_for_others(turns: FairPool) -> None:
    gate = threading.Event()
    stuck = [turns.submit("stuck", lambda: gate.wait(30)) for _ in range(20)]
    assert [turns.submit("b", lambda: 1).result(5) for _ in range(20)] == [1] * 20
    assert not any(future.done() for future in stuck)
    gate.set()
    assert all(future.result(5) for future in stuck)


def test_hosts_take_turns_however_much_one_of_them_asks_for() -> None:
    done: list[str] = []
    gate = threading.Event()
    one = FairPool("test", max_threads=1, per_host=1)
    one.submit("first", lambda: gate.wait(30))
    much = [one.submit("much", lambda: done.append("much")) for _ in range(9)]
    [one.submit("little", lambda: done.append("little")) for _ in range(2)]
    gate.set()
    much[-1].result(5)
    one.close()
    assert done == ["much", "little", "much", "little", *["much"] * 7]


def test_a_job_that_is_cancelled_in_time_never_runs_and_is_not_kept(turns: FairPool) -> None:
    gate, ran = threading.Event(), list[int]()
    held = [turns.submit("a", lambda: gate.wait(30)) for _ in range(2)]
    for n in range(1_000):
        assert turns.submit("a", partial(ran.append, n)).cancel()
    last = turns.submit("a", lambda: ran.append(-1))
    gate.set()
    last.result(5)
    assert all(future.result(5) for future in held)
    assert ran == [-1]


def test_after_closing_nothing_runs_any_more() -> None:
    gate, began = threading.Event(), threading.Event()

    def run() -> bool:
        began.set()
        return gate.wait(30)

    closed = FairPool("test", max_threads=1, per_host=1)
    running = closed.submit("a", run)
    assert began.wait(30)
    waiting = closed.submit("a", lambda: True)
    threading.Timer(0.1, gate.set).start()
    closed.close()
    assert running.result(5)
    assert waiting.cancelled()
    assert closed.submit("a", lambda: True).cancelled()
