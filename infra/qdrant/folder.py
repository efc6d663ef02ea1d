"""The folder of the embedded index: which of the shards in it counts.

A shard is optimised as a copy, and then the copy counts. The name of the shard that counts stands in a file, which
is replaced in one step: a kill at any moment leaves one whole shard that holds all that was acknowledged.
"""

import os
import shutil
from pathlib import Path

FIRST = "shard"
POINTER = "current"


def current(folder: Path) -> Path:
    """The shard that counts; it may not have been made yet."""
    pointer = folder / POINTER
    return folder / (pointer.read_text().strip() if pointer.exists() else FIRST)


def make_current(path: Path) -> None:
    """From now on this shard counts."""
    draft = path.parent / f"{POINTER}.new"
    with draft.open("w") as file:
        file.write(path.name)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path.parent / POINTER)


def next_copy(folder: Path) -> Path:
    """Where to copy the shard that counts."""
    _, _, number = current(folder).name.partition("-")
    return folder / f"{FIRST}-{int(number or 0) + 1}"


def journal_of(copy: Path) -> Path:
    """Where to note what is written after this copy was taken."""
    return copy.with_suffix(".journal")


def sweep(folder: Path) -> None:
    """Remove all shards and journals but the shard that counts."""
    for path in folder.glob(f"{FIRST}*"):
        if path != current(folder):
            remove(path)


def remove(path: Path) -> None:
    """Remove a shard or a journal, if it is there."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def bytes_in(path: Path) -> int:
    """Bytes of disk that a shard takes; files that vanish meanwhile do not count."""
    total = 0
    for root, _, names in os.walk(path):
        for name in names:
            try:
                total += os.stat(os.path.join(root, name)).st_blocks * 512
            except FileNotFoundError:
                continue
    return total
