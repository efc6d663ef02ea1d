"""Turns: work for many hosts side by side, of which none can take all the threads."""

import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from infra.futures import run_into

Result = TypeVar("Result")
Task = tuple[Future[Any], Callable[[], object]]

JOIN_SECONDS = 1.0
"""How long `close` waits for the threads; those that are stuck in the system die with the process."""


class FairPool:
    """Runs jobs on at most `threads` threads, at most `each` of one host at a time; hosts take turns.

    Jobs that wait cost no thread, and the threads never keep a process alive. Safe to call from several threads.
    """

    def __init__(self, name: str, threads: int, each: int) -> None:
        self._name, self._most, self._each = name, threads, each
        self._changed = threading.Condition()
        self._waiting: dict[str, deque[Task]] = {}
        self._running: Counter[str] = Counter()
        self._threads: list[threading.Thread] = []
        self._idle = 0
        self._closed = False

    def submit(self, host: str, job: Callable[[], Result]) -> Future[Result]:
        """What `job` will come to. A future that is cancelled in time never runs; after `close` all are."""
        future: Future[Result] = Future()
        with self._changed:
            if self._closed:
                future.cancel()
                return future
            tasks = self._waiting.setdefault(host, deque())
            while tasks and tasks[0][0].cancelled():
                tasks.popleft()  # or a host that is stuck for good would gather all that was ever asked of it
            tasks.append((future, job))
            if len(tasks) + self._running[host] <= self._each:  # else one of its own threads takes it in time
                self._call_thread()
        return future

    def close(self) -> None:
        """Cancel what waits, and let the threads end."""
        with self._changed:
            self._closed = True
            tasks = [task for waiting in self._waiting.values() for task in waiting]
            self._waiting.clear()
            self._changed.notify_all()
        for future, _ in tasks:
            future.cancel()
        until = time.monotonic() + JOIN_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _call_thread(self) -> None:
        """Have a thread for each job that could run now, as far as there may be so many."""
        room = (min(len(tasks), self._each - self._running[host]) for host, tasks in self._waiting.items())
        if sum(room) > self._idle and len(self._threads) < self._most:
            thread = threading.Thread(target=self._work, name=self._name, daemon=True)
            self._threads.append(thread)
            thread.start()
        self._changed.notify()

    def _work(self) -> None:
        while (turn := self._next()) is not None:
            host, (future, job) = turn
            if future.set_running_or_notify_cancel():
                run_into(future, job)
            del future, job, turn  # or this thread would hold the last picture until the next one
            with self._changed:
                self._running[host] -= 1
                if not self._running[host]:
                    del self._running[host]

    def _next(self) -> tuple[str, Task] | None:
        """The next job whose host has room, as soon as there is one; none when all is closed."""
        with self._changed:
            while not self._closed:
                for host, tasks in self._waiting.items():
                    if self._running[host] < self._each:
                        return host, self._take(host, tasks)
                self._idle += 1
                self._changed.wait()
                self._idle -= 1
        return None

    def _take(self, host: str, tasks: deque[Task]) -> Task:
        task = tasks.popleft()
        self._running[host] += 1
        del self._waiting[host]
        if tasks:
            self._waiting[host] = tasks  # at the end: the others' turn comes first
        return task
