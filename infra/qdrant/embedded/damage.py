"""Damage of the embedded index: how it is recognised, told, and remembered while no engine runs."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from infra.qdrant.contract import VECTOR, EngineError

NOTE = "damaged"
"""The file in the folder of an index that says why it could not be opened."""
EXIT_CODE = 4
"""Of an engine whose index is damaged: starting it again does not help."""
REMEDY = (
    "stop lookstream, put the folder {folder} back from a copy, or remove it and send all items again; "
    "if the disk is at fault, replace it first"
)
SIGNS = (
    "not readable",
    "out of bounds",
    "io error",
    "failed to d",
    "corrupt",
    "malformed",
    "i/o error",
    "decompress",
)
"""What the engine says, in small letters, when its files are not what it has written."""
PASSING = ("no space left", "permission denied", "too many open files", "temporarily unavailable", "lock")
"""What the engine says, in small letters, of troubles that are not in the files."""
LARGEST = 1e6
"""No number of a vector is larger: its parts are of unit length."""
AT_ONCE = 1 << 20
"""Numbers of a vector file that are looked at together."""
MATRIX_HEADER = 4
"""Bytes before the vectors of a segment that was optimised: the word `data`."""


class IndexDamaged(EngineError):
    """The files of an index are not what the engine has written; the message says where, what, and the remedy."""


def damaged(folder: Path, why: object) -> IndexDamaged:
    """The error that tells of damage in the folder of an index."""
    return IndexDamaged(f"the index in {folder} is damaged ({why}): {REMEDY.format(folder=folder)}")


def engine_error(error: BaseException, folder: Path) -> EngineError:
    """What an error that the engine has raised is told as."""
    if isinstance(error, EngineError):
        return error
    text = f"{type(error).__name__}: {error}"
    if any(sign in text.lower() for sign in SIGNS):
        return damaged(folder, text)
    return EngineError(f"the index in {folder} failed: {text}")


@contextmanager
def opening(folder: Path) -> Iterator[None]:
    """Turn what goes wrong while a shard is opened into IndexDamaged.

    A full disk, a lock of another process and the like are no damage: they are an EngineError.
    """
    try:
        yield
    except (KeyboardInterrupt, SystemExit, MemoryError):
        raise
    except BaseException as error:  # the engine panics too, and that is no Exception
        text = f"{type(error).__name__}: {error}"
        if any(word in text.lower() for word in PASSING):
            raise EngineError(f"the index in {folder} cannot be opened: {text}") from error
        raise damaged(folder, text) from error


@contextmanager
def noting(folder: Path) -> Iterator[None]:
    """Leave a note in the folder when its index is damaged, for those who ask while no engine runs."""
    note = folder / NOTE
    try:
        yield
    except IndexDamaged as error:
        with suppress(OSError):
            note.write_text(str(error))
        raise
    note.unlink(missing_ok=True)


def read_note(folder: Path) -> str | None:
    """Why the index in this folder could not be opened the last time, if it could not."""
    try:
        return (folder / NOTE).read_text() or None
    except OSError:
        return None


def check_vectors(shard: Path, size: int) -> None:
    """Raise ValueError when a file of vectors is too short, or holds numbers that no vector has.

    The engine reads such vectors without a word, and leaves them out of its answers. Looking at 100,000 vectors of
    256 numbers takes 50 ms.
    """
    for storage in sorted(shard.glob(f"segments/*/vector_storage-{VECTOR}")):
        for path in sorted(storage.glob("vectors/chunk_*")):
            chunk: int = json.loads((path.parent / "config.json").read_text())["chunk_size_bytes"]
            if path.stat().st_size != chunk:
                raise ValueError(f"{path} has {path.stat().st_size} bytes, not {chunk}")
            _check_numbers(path, 0)
        if (path := storage / "matrix.dat").exists():
            if (path.stat().st_size - MATRIX_HEADER) % (size * 4):
                raise ValueError(f"{path} ends within a vector")
            _check_numbers(path, MATRIX_HEADER)


def _check_numbers(path: Path, header: int) -> None:
    with path.open("rb") as file:
        file.seek(header)
        while (numbers := np.fromfile(file, np.float32, AT_ONCE)).size:
            # NaN fails each comparison. Padding at the end of a file is zeros.
            if not (float(numbers.max()) < LARGEST and float(numbers.min()) > -LARGEST):
                raise ValueError(f"{path} holds vectors with NaN or numbers beyond any vector's")
