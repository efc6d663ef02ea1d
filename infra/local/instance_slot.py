"""Slots: a name for each worker of a kind on a machine, which the next one takes over after a crash."""

import fcntl
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MOST = 1_000


@contextmanager
def slot(folder: Path, kind: str, name: str | None) -> Iterator[str]:
    """`name` if one is given, else this host's name and the lowest number that no living worker here has.

    A name that outlives its process lets the next one end the transaction that a killed one left open, and find
    the records that it died of.
    """
    if name is not None:
        yield name
        return
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(MOST):
        with (folder / f"{kind}-{number}.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            yield f"{socket.gethostname()[:80]}-{number}"
            return
    raise OSError(f"{MOST} workers of kind {kind} run on {folder} already: name another LOOKSTREAM_DATA folder")
