"""Futures: run calls in threads, and store their results or exceptions in futures."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from threading import Thread
from types import TracebackType
from typing import Any, Self, TypeVar

AHEAD = 2
"""Items of a thread in `map_in_order`: one in progress, and one that waits or is done."""

Item = TypeVar("Item")
Result = TypeVar("Result")


def run_into(future: "Future[Result]", call: Callable[[], Result]) -> None:
    """Run a call and set the future to its result or exception."""
    with _Errors(future):
        future.set_result(call())


def call_in_thread(name: str, call: Callable[[], Result]) -> "Future[Result]":
    """Run a call in its own daemon thread, for which the process does not wait at exit; returns its future."""
    future: Future[Result] = Future()
    Thread(target=partial(run_into, future, call), name=name, daemon=True).start()
    return future


def map_in_order(call: Callable[[Item], Result], items: Iterable[Item], threads: int) -> Iterator[Result]:
    """The results of a call for each item, in the order of the items, computed in so many threads; 0: in this one.

    `items` is read in this thread, at most AHEAD items a thread before their results are used. An exception is
    raised in the place of the result. When the generator is closed, calls in progress end, and no more begin.
    """
    if not threads:
        yield from map(call, items)
        return
    pending: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(threads, "map") as pool:
        try:
            for item in items:
                pending.append(pool.submit(call, item))
                while pending and (pending[0].done() or len(pending) >= AHEAD * threads):
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()


@dataclass(frozen=True)
class _Errors:
    """Sets an exception that the block raises on the future, and suppresses it."""

    future: "Future[Any]"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> bool:
        if error is not None:
            self.future.set_exception(error)
        return True
