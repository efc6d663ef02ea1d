"""Work in the background of a scenario."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def in_background(work: Callable[[], None], stop: threading.Event) -> Iterator[None]:
    """Run the work in a thread while the block runs; then set `stop`, at which the work must end."""
    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
