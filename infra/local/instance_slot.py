"""Instance slots: a stable name for each worker of a kind on a machine, reused by its successor after a crash."""

import fcntl
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MAX_SLOTS = 1_000


@contextmanager
def slot(folder: Path, kind: str, name: str | None) -> Iterator[str]:
    """`name` if one is given, else this host's name and the lowest number that no running worker here uses.

    As the name outlives the process, its successor can end a transaction that a killed process left open, and find
    the records that crashed it.
    """
    if name is not None:
        yield name
        return
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(MAX_SLOTS):
        with (folder / f"{kind}-{number}.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            yield f"{socket.gethostname()[:80]}-{number}"
            return
    raise OSError(
        f"{MAX_SLOTS} workers of kind {kind} run on {folder} already: name another LOOKSTREAM_DATA folder"
    )
