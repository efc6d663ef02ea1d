"""The two lanes of the index worker: new events, and events that wait in retry topics for another try.

They run side by side, so that pictures that come slowly hold up nothing but each other.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

from consumers.hands import Stop
from consumers.worker import Worker

LOOK_SECONDS = 0.1


@dataclass(frozen=True)
class Lanes:
    """An index worker. `last_call` makes the lane of retries try everything at once, and once."""

    live: Worker
    again: Worker
    last_call: Callable[[], None]

    def run(self, stop: Stop, idle_seconds: float = 1.0) -> None:
        """Work until told to stop; when that is once all is done, what waits is tried a last time.

        Raises what Worker.run raises, of either lane.
        """
        later = Stop()
        stop.followers.append(later)
        with ThreadPoolExecutor(1, "retries") as pool:
            again = pool.submit(self.again.run, later)
            again.add_done_callback(lambda done: _end_both(done, stop))
            try:
                self.live.run(stop, idle_seconds)
                if not stop.now:
                    self.last_call()
                    later.when_idle = True
            except BaseException:
                later.at_once()
                raise
            while not wait([again], LOOK_SECONDS).done:
                pass
            again.result()


def _end_both(again: "Future[None]", stop: Stop) -> None:
    if again.exception() is not None:
        stop.at_once()
