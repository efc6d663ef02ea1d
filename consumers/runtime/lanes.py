"""The two lanes of the index worker: new events, and events that wait in retry topics for another try.

They run side by side, so that pictures that come slowly hold up nothing but each other.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

from consumers.runtime.loop import WorkerLoop
from consumers.runtime.shutdown import ShutdownSignal

POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Lanes:
    """An index worker. `last_call` makes the lane of retries try everything at once, and once."""

    live: WorkerLoop
    retries: WorkerLoop
    last_call: Callable[[], None]

    def run(self, shutdown: ShutdownSignal, idle_seconds: float = 1.0) -> None:
        """Work until told to stop; when that is once all is done, what waits is tried a last time.

        Raises what Worker.run raises, of either lane.
        """
        later = ShutdownSignal()
        shutdown.followers.append(later)
        with ThreadPoolExecutor(1, "retries") as pool:
            retries = pool.submit(self.retries.run, later)
            retries.add_done_callback(lambda done: _end_both(done, shutdown))
            try:
                self.live.run(shutdown, idle_seconds)
                if not shutdown.now:
                    self.last_call()
                    later.when_idle = True
            except BaseException:
                later.at_once()
                raise
            while not wait([retries], POLL_SECONDS).done:
                pass
            retries.result()


def _end_both(retries: "Future[None]", shutdown: ShutdownSignal) -> None:
    if retries.exception() is not None:
        shutdown.at_once()
