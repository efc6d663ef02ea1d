"""Index damage: detect and report damaged files, and record the damage for the time when no engine runs."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from infra.qdrant.contract import VECTOR, EngineError

NOTE = "damaged"
"""Name of the file in an index folder that records why the index could not be opened."""
EXIT_CODE = 4
"""Exit code of an engine whose index is damaged; a restart does not help."""
REMEDY = (
    "stop lookstream, put the folder {folder} back from a copy, or remove it and send all items again; "
    "if the disk is at fault, replace it first"
)
DAMAGE_PATTERNS = (
    "not readable",
    "out of bounds",
    "io error",
    "failed to d",
    "corrupt",
    "malformed",
    "i/o error",
    "decompress",
)
"""Lower-case parts of engine messages that indicate corrupt files."""
TRANSIENT_PATTERNS = (
    "no space left",
    "permission denied",
    "too many open files",
    "temporarily unavailable",
    "lock",
)
"""Lower-case parts of engine messages about transient problems that are not damage."""
MAX_COMPONENT = 1e6
"""Bound of the absolute value of vector components; real ones are smaller, since parts have unit length."""
COMPONENTS_PER_READ = 1 << 20
"""Vector components to check at a time."""
MATRIX_HEADER = 4
"""Bytes before the vectors in the file of an optimised segment: the word `data`."""


class IndexDamaged(EngineError):
    """The files of an index are corrupt. The message names the folder, the reason and the remedy."""


def damage_error(folder: Path, reason: object) -> IndexDamaged:
    """Return an IndexDamaged error for the folder of an index."""
    return IndexDamaged(f"the index in {folder} is damaged ({reason}): {REMEDY.format(folder=folder)}")


def engine_error(error: BaseException, folder: Path) -> EngineError:
    """Convert an error of the engine to IndexDamaged if its message indicates damage, else to EngineError."""
    if isinstance(error, EngineError):
        return error
    text = f"{type(error).__name__}: {error}"
    if any(pattern in text.lower() for pattern in DAMAGE_PATTERNS):
        return damage_error(folder, text)
    return EngineError(f"the index in {folder} failed: {text}")


@contextmanager
def translate_open_errors(folder: Path) -> Iterator[None]:
    """Convert errors while a shard is opened to IndexDamaged.

    Transient problems, such as a full disk or a lock of another process, are not damage: they become EngineError.
    """
    try:
        yield
    except (KeyboardInterrupt, SystemExit, MemoryError):
        raise
    except BaseException as error:  # an engine panic is not an Exception
        text = f"{type(error).__name__}: {error}"
        if any(pattern in text.lower() for pattern in TRANSIENT_PATTERNS):
            raise EngineError(f"the index in {folder} cannot be opened: {text}") from error
        raise damage_error(folder, text) from error


@contextmanager
def record_damage(folder: Path) -> Iterator[None]:
    """Record IndexDamaged in a file of the index folder, for clients that connect while no engine runs."""
    note = folder / NOTE
    try:
        yield
    except IndexDamaged as error:
        with suppress(OSError):
            note.write_text(str(error))
        raise
    note.unlink(missing_ok=True)


def read_note(folder: Path) -> str | None:
    """Return why the index in this folder could not be opened last time, or None if it was opened."""
    try:
        return (folder / NOTE).read_text() or None
    except OSError:
        return None


def check_vectors(shard: Path, size: int) -> None:
    """Raise ValueError if a vector file has the wrong size or contains impossible values.

    The engine loads such vectors silently and omits them from its results. The check of 100,000 vectors with 256
    dimensions takes 50 ms.
    """
    for storage in sorted(shard.glob(f"segments/*/vector_storage-{VECTOR}")):
        for path in sorted(storage.glob("vectors/chunk_*")):
            chunk_size: int = json.loads((path.parent / "config.json").read_text())["chunk_size_bytes"]
            if path.stat().st_size != chunk_size:
                raise ValueError(f"{path} has {path.stat().st_size} bytes, not {chunk_size}")
            _check_components(path, 0)
        if (path := storage / "matrix.dat").exists():
            if (path.stat().st_size - MATRIX_HEADER) % (size * 4):
                raise ValueError(f"{path} ends within a vector")
            _check_components(path, MATRIX_HEADER)


def _check_components(path: Path, header: int) -> None:
    with path.open("rb") as file:
        file.seek(header)
        while (numbers := np.fromfile(file, np.float32, COMPONENTS_PER_READ)).size:
            # NaN fails both comparisons. Padding at the end of a file is zeros.
            if not (float(numbers.max()) < MAX_COMPONENT and float(numbers.min()) > -MAX_COMPONENT):
                raise ValueError(f"{path} holds vectors with NaN or numbers beyond any vector's")
