"""Fair pool: a thread pool in which hosts take turns, and none can occupy all threads."""

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
"""Seconds that `close` waits for the threads; those that are blocked in system calls end with the process."""


class FairPool:
    """Runs jobs on at most `max_threads` daemon threads, of which at most `per_host` serve one host at a time.

    Hosts take turns. Queued jobs use no thread. Thread-safe.
    """

    def __init__(self, name: str, max_threads: int, per_host: int) -> None:
        self._name, self._max_threads, self._per_host = name, max_threads, per_host
        self._changed = threading.Condition()
        self._queues: dict[str, deque[Task]] = {}
        self._running: Counter[str] = Counter()
        self._threads: list[threading.Thread] = []
        self._idle = 0
        self._closed = False

    def submit(self, host: str, job: Callable[[], Result]) -> Future[Result]:
        """Queue a job and return its future.

        A job whose future is cancelled before it starts never runs; after `close` all futures are cancelled.
        """
        future: Future[Result] = Future()
        with self._changed:
            if self._closed:
                future.cancel()
                return future
            tasks = self._queues.setdefault(host, deque())
            while tasks and tasks[0][0].cancelled():
                tasks.popleft()  # otherwise the queue of a host that hangs would grow for ever
            tasks.append((future, job))
            # At the limit a thread that works for this host takes the job later.
            if len(tasks) + self._running[host] <= self._per_host:
                self._ensure_thread()
        return future

    def close(self) -> None:
        """Cancel queued jobs, and let the threads end."""
        with self._changed:
            self._closed = True
            tasks = [task for queue in self._queues.values() for task in queue]
            self._queues.clear()
            self._changed.notify_all()
        for future, _ in tasks:
            future.cancel()
        deadline = time.monotonic() + JOIN_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _ensure_thread(self) -> None:
        """Wake or start a thread for a job that can run now, up to the limit."""
        runnable = (min(len(tasks), self._per_host - self._running[host]) for host, tasks in self._queues.items())
        if sum(runnable) > self._idle and len(self._threads) < self._max_threads:
            thread = threading.Thread(target=self._work, name=self._name, daemon=True)
            self._threads.append(thread)
            thread.start()
        self._changed.notify()

    def _work(self) -> None:
        while (host_task := self._next_task()) is not None:
            host, (future, job) = host_task
            if future.set_running_or_notify_cancel():
                run_into(future, job)
            # Otherwise this thread would keep the last picture in memory until the next one.
            del future, job, host_task
            with self._changed:
                self._running[host] -= 1
                if not self._running[host]:
                    del self._running[host]

    def _next_task(self) -> tuple[str, Task] | None:
        """Wait for the next job whose host is below its limit; None once the pool is closed."""
        with self._changed:
            while not self._closed:
                for host, tasks in self._queues.items():
                    if self._running[host] < self._per_host:
                        return host, self._dequeue(host, tasks)
                self._idle += 1
                self._changed.wait()
                self._idle -= 1
        return None

    def _dequeue(self, host: str, tasks: deque[Task]) -> Task:
        task = tasks.popleft()
        self._running[host] += 1
        del self._queues[host]
        if tasks:
            self._queues[host] = tasks  # moved to the end: other hosts come first
        return task
