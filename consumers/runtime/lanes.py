"""Lanes: run the two loops of the index worker, one for new events and one for the retry topics.

They run in parallel, so that pictures that download slowly delay only other retries.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

from consumers.runtime.loop import WorkerLoop
from consumers.runtime.shutdown import ShutdownSignal

POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Lanes:
    """An index worker. `retry_all_now` makes the lane of retries try every waiting record once, without delay."""

    live: WorkerLoop
    retries: WorkerLoop
    retry_all_now: Callable[[], None]

    def run(self, shutdown: ShutdownSignal, idle_seconds: float = 1.0) -> None:
        """Run both lanes until shutdown; after a shutdown when idle, each waiting record is tried a last time.

        Raises the errors of WorkerLoop.run, from either lane.
        """
        retries_shutdown = ShutdownSignal()
        shutdown.children.append(retries_shutdown)
        with ThreadPoolExecutor(1, "retries") as pool:
            retries = pool.submit(self.retries.run, retries_shutdown)
            retries.add_done_callback(lambda future: _stop_on_error(future, shutdown))
            try:
                self.live.run(shutdown, idle_seconds)
                if not shutdown.now:
                    self.retry_all_now()
                    retries_shutdown.stop_when_idle()
            except BaseException:
                retries_shutdown.stop_now()
                raise
            while not wait([retries], POLL_SECONDS).done:
                pass
            retries.result()


def _stop_on_error(retries: "Future[None]", shutdown: ShutdownSignal) -> None:
    if retries.exception() is not None:
        shutdown.stop_now()
