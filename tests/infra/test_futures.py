"""Calls in threads: results in order, a bounded number ahead, and an exception in its place."""

import threading
import time
from collections.abc import Iterator
from itertools import count, islice

import pytest

from infra.futures import AHEAD, map_in_order


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_results_come_in_the_order_of_the_items(threads: int) -> None:
    def slowly(n: int) -> int:
        time.sleep(0.01 if n % 3 == 0 else 0)
        return n * n

    assert list(map_in_order(slowly, range(30), threads)) == [n * n for n in range(30)]


def test_calls_run_concurrently() -> None:
    both = threading.Barrier(2)
    assert list(map_in_order(lambda _n: both.wait(10) >= 0, range(4), 2)) == [True] * 4


def test_only_a_few_items_are_read_ahead() -> None:
    read = count()
    results = map_in_order(lambda n: n, (next(read) for _ in range(1_000_000)), 2)
    assert list(islice(results, 10)) == list(range(10))
    assert next(read) <= 10 + AHEAD * 2


@pytest.mark.parametrize("threads", [0, 2])
def test_an_exception_comes_in_the_place_of_its_result(threads: int) -> None:
    def fail_at_five(n: int) -> int:
        if n == 5:
            raise ValueError("five")
        return n

    results: Iterator[int] = map_in_order(fail_at_five, range(100), threads)
    assert list(islice(results, 5)) == [0, 1, 2, 3, 4]
    with pytest.raises(ValueError, match="five"):
        next(results)


def test_no_call_begins_after_the_end() -> None:
    begun = list[int]()

    def slowly(n: int) -> int:
        begun.append(n)
        time.sleep(0.005)
        return n

    for result in map_in_order(slowly, range(1_000), 2):
        if result == 3:
            break
    begun_count = len(begun)
    time.sleep(0.05)
    assert len(begun) == begun_count < 20
