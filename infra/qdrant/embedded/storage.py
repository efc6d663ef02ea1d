"""The folder of the embedded index: which of the shards in it counts.

A shard is optimised as a copy, and then the copy counts. The name of the shard that counts stands in a file, which
is replaced in one step: a kill at any moment leaves one whole shard that holds all that was acknowledged.
"""

import os
import re
import shutil
from contextlib import suppress
from pathlib import Path

from infra.qdrant.embedded.damage import damaged

FIRST = "shard"
POINTER = "current"
AHEAD = "tmp-open-"
"""So begin parts of the log that the engine makes ahead of time, empty yet, and renames at any moment."""
AT_ONCE = 1 << 20
"""Bytes that are compared at a time: two such pieces stay in a core's cache."""


def current(folder: Path) -> Path:
    """The shard that counts; it may not have been made yet. Raises IndexDamaged when the pointer names no shard."""
    pointer = folder / POINTER
    name = pointer.read_text(errors="replace").strip() if pointer.exists() else FIRST
    if re.fullmatch(rf"{FIRST}(-[0-9]{{1,18}})?", name) is None:  # it must not lead out of the folder
        raise damaged(folder, f"{pointer} names {name[:80]!r}, which is no shard of it")
    return folder / name


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


def mirror(source: Path, target: Path) -> None:
    """Make a folder what another one is; of files that are there already only what differs is written.

    What changes meanwhile may be copied half. So a first call copies nearly all while the source is written to, and
    a second one, while it is not, only compares. Files that vanish are left out.
    """
    target.mkdir(exist_ok=True)
    entries = {entry.name: entry for entry in os.scandir(source) if not entry.name.startswith(AHEAD)}
    for path in target.iterdir():
        if path.name not in entries:
            remove(path)
    for name, entry in entries.items():
        with suppress(FileNotFoundError):
            if entry.is_dir():
                mirror(source / name, target / name)
            elif (target / name).exists():
                _mend(source / name, target / name)
            else:
                shutil.copyfile(source / name, target / name)


def _mend(source: Path, target: Path) -> None:
    """Write what differs, piece by piece."""
    ours, theirs, at = bytearray(AT_ONCE), bytearray(AT_ONCE), 0
    with source.open("rb", buffering=0) as new, target.open("r+b", buffering=0) as old:
        while count := new.readinto(ours):
            old.seek(at)
            if old.readinto(theirs) != count or ours != theirs:  # behind `count` lies what came before, in both
                os.pwrite(old.fileno(), memoryview(ours)[:count], at)
            at += count
        if old.seek(0, os.SEEK_END) > at:
            old.truncate(at)


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
