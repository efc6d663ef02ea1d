"""Storage: the folder of the embedded index, and which of its shards is current.

A shard is optimised as a copy, and then the copy becomes current. The name of the current shard is in a file that
is replaced atomically: a kill at any time leaves one complete shard with all acknowledged writes.
"""

import os
import re
import shutil
from contextlib import suppress
from pathlib import Path

from infra.qdrant.embedded.damage import damage_error

FIRST = "shard"
POINTER = "current"
PREALLOCATED_PREFIX = "tmp-open-"
"""Prefix of log segments that the engine creates in advance; they are empty, and renamed at any time."""
BLOCK_BYTES = 1 << 20
"""Bytes to compare at a time; two such blocks fit in the cache of a core."""


def current_shard(folder: Path) -> Path:
    """Return the path of the current shard, which may not exist yet; raises IndexDamaged on an invalid pointer."""
    pointer = folder / POINTER
    name = pointer.read_text(errors="replace").strip() if pointer.exists() else FIRST
    if re.fullmatch(rf"{FIRST}(-[0-9]{{1,18}})?", name) is None:  # the name must not point outside the folder
        raise damage_error(folder, f"{pointer} names {name[:80]!r}, which is no shard of it")
    return folder / name


def make_current(path: Path) -> None:
    """Make this shard the current one, atomically and durably."""
    draft = path.parent / f"{POINTER}.new"
    with draft.open("w") as file:
        file.write(path.name)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path.parent / POINTER)


def next_copy(folder: Path) -> Path:
    """Return the path for the next copy of the current shard."""
    _, _, number = current_shard(folder).name.partition("-")
    return folder / f"{FIRST}-{int(number or 0) + 1}"


def journal_of(copy: Path) -> Path:
    """Return the path of the journal of writes after this copy was made."""
    return copy.with_suffix(".journal")


def sweep(folder: Path) -> None:
    """Delete all shards and journals except the current shard."""
    for path in folder.glob(f"{FIRST}*"):
        if path != current_shard(folder):
            remove(path)


def mirror(source: Path, target: Path) -> None:
    """Make `target` identical to `source`; in existing files, only blocks that differ are written.

    Files that change meanwhile may be copied incompletely. So call it twice: the first call copies nearly
    everything while the source is being written, the second compares, with writes stopped. Files that disappear are
    skipped.
    """
    target.mkdir(exist_ok=True)
    entries = {entry.name: entry for entry in os.scandir(source) if not entry.name.startswith(PREALLOCATED_PREFIX)}
    for path in target.iterdir():
        if path.name not in entries:
            remove(path)
    for name, entry in entries.items():
        with suppress(FileNotFoundError):
            if entry.is_dir():
                mirror(source / name, target / name)
            elif (target / name).exists():
                _copy_changed_blocks(source / name, target / name)
            else:
                shutil.copyfile(source / name, target / name)


def _copy_changed_blocks(source: Path, target: Path) -> None:
    """Write only the blocks that differ, and truncate the target to the length of the source."""
    source_block, target_block, offset = bytearray(BLOCK_BYTES), bytearray(BLOCK_BYTES), 0
    with source.open("rb", buffering=0) as new, target.open("r+b", buffering=0) as old:
        while count := new.readinto(source_block):
            old.seek(offset)
            # After the first `count` bytes, both buffers still hold the previous block.
            if old.readinto(target_block) != count or source_block != target_block:
                os.pwrite(old.fileno(), memoryview(source_block)[:count], offset)
            offset += count
        if old.seek(0, os.SEEK_END) > offset:
            old.truncate(offset)


def remove(path: Path) -> None:
    """Delete a shard or a journal if it exists."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def bytes_in(path: Path) -> int:
    """Return the bytes on disk of a shard; files that disappear meanwhile are ignored."""
    total = 0
    for root, _, names in os.walk(path):
        for name in names:
            try:
                total += os.stat(os.path.join(root, name)).st_blocks * 512
            except FileNotFoundError:
                continue
    return total
