"""Futures: what a call comes to, a result or an error, is handed to whoever waits for it."""

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from threading import Thread
from types import TracebackType
from typing import Any, Self, TypeVar

Result = TypeVar("Result")


def run_into(future: "Future[Result]", call: Callable[[], Result]) -> None:
    """Run a call, and have the future hold what it returns or raises, whatever that is."""
    with _Errors(future):
        future.set_result(call())


def call_in_thread(name: str, call: Callable[[], Result]) -> "Future[Result]":
    """What a call comes to, in a thread of its own; the process does not wait for it at its end."""
    future: Future[Result] = Future()
    Thread(target=partial(run_into, future, call), name=name, daemon=True).start()
    return future


@dataclass(frozen=True)
class _Errors:
    """Hands whatever is raised inside to whoever waits for the future."""

    future: "Future[Any]"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> bool:
        if error is not None:
            self.future.set_exception(error)
        return True
