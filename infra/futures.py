"""Futures: store the result or the exception of a call in a future."""

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from threading import Thread
from types import TracebackType
from typing import Any, Self, TypeVar

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
