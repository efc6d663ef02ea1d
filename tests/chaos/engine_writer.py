"""An embedded engine that writes until it is killed: `python -m tests.chaos.engine_writer FOLDER BATCH PHASE`.

In files beside the shard it notes the acknowledged writes, its current phase, and how long loading took.
"""

import os
import random
import sys
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np

from infra.qdrant.conditions import LIVE
from infra.qdrant.contract import Point, Vector
from infra.qdrant.embedded.shard import Shard

FINGERPRINT, SIZE = "chaos", 128
BLOCK = 256
"""Vectors are drawn so many at a time; batches are of this size or divide it."""
FLUSHED = 0.02
"""Share of the batches that are flushed, in the phase that does not do it all the time."""
WRITE, FLUSH, OPTIMIZE, LOAD = "write", "flush", "optimize", "load"


class WriterNotes:
    """The notes of an engine about itself, in files that survive a kill -9."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._file = os.open(folder / "acknowledged", os.O_RDWR | os.O_CREAT)

    @property
    def acknowledged(self) -> int:
        """The number of written points; they are numbered from 0."""
        return int.from_bytes(os.pread(self._file, 8, 0), "little")

    def acknowledge(self, count: int) -> None:
        """Note that the points below this number are written."""
        os.pwrite(self._file, count.to_bytes(8, "little"), 0)

    @property
    def phase(self) -> str:
        """The process and its current phase, as `process id phase`."""
        path = self._folder / "phase"
        return path.read_text() if path.exists() else ""

    def begin(self, phase: str) -> None:
        """Note the phase that begins."""
        draft = self._folder / "phase.new"
        draft.write_text(f"{os.getpid()} {phase}")
        draft.replace(self._folder / "phase")

    @property
    def loads(self) -> list[float]:
        """Seconds that each load took."""
        path = self._folder / "loads"
        return [float(line) for line in path.read_text().split()] if path.exists() else []

    def loaded(self, seconds: float) -> None:
        """Note how long a load took."""
        with (self._folder / "loads").open("a") as file:
            file.write(f"{seconds:.3f}\n")


def point(number: int) -> Point:
    """The point of this number."""
    payload = {"item": f"t:{number}", "item_id": str(number), "tenant": "t", "version": 1, "state": LIVE}
    return Point(identity(number), payload, vector_of(number))


def vector_of(number: int) -> Vector:
    """The vector of the point of this number: of unit length, in random direction."""
    return np.asarray(_vectors(number // BLOCK)[number % BLOCK], np.float32)


def identity(number: int) -> str:
    """The id of the point of this number."""
    return f"00000000-0000-0000-0000-{number:012d}"


@lru_cache(maxsize=4)
def _vectors(block: int) -> Vector:
    """The vectors of a block of points."""
    drawn = np.random.default_rng(block).standard_normal((BLOCK, SIZE)).astype(np.float32)
    return np.asarray(drawn / np.linalg.norm(drawn, axis=1, keepdims=True), np.float32)


def open_shard(folder: Path) -> Shard:
    """Open the shard in a folder, or make it; no free space is required."""
    shard = Shard(folder / "index", 0)
    shard.open(FINGERPRINT, SIZE)
    return shard


def run(folder: Path, batch: int, phase: str) -> None:
    """Load the shard, then repeat the step of the phase until this process is killed."""
    notes = WriterNotes(folder)
    (folder / "index").mkdir(exist_ok=True)
    notes.begin(LOAD)
    started = time.monotonic()
    shard = open_shard(folder)
    notes.loaded(time.monotonic() - started)
    steps: dict[str, Callable[[], None]] = {
        WRITE: lambda: _write(shard, notes, batch, FLUSHED),
        FLUSH: lambda: _write(shard, notes, batch, 1.0),
        OPTIMIZE: lambda: _optimize(shard, notes, batch),
    }
    step = steps.get(phase, steps[WRITE])
    notes.begin(phase if phase in steps else WRITE)
    while True:
        step()


def _write(shard: Shard, notes: WriterNotes, batch: int, flushed: float) -> None:
    first = notes.acknowledged
    shard.upsert([point(number) for number in range(first, first + batch)])
    notes.acknowledge(first + batch)
    if random.random() < flushed:
        shard.flush()


def _optimize(shard: Shard, notes: WriterNotes, batch: int) -> None:
    for _ in range(4):
        _write(shard, notes, batch, FLUSHED)
    shard._opened().optimize()


if __name__ == "__main__":
    run(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
