"""Damaged sets: whatever bytes change in a file, the set is read or refused with a sentence."""

import random
import shutil
from contextlib import suppress
from pathlib import Path

import pytest

from consumers.quality.evaluation.datasets.formats import open_dataset
from consumers.quality.evaluation.datasets.selection import select
from infra.config.errors import BadInput
from tests.consumers.quality.evaluation.made_datasets import MAKERS

COUNT = 40
"""Damaged copies of each set."""


def mutate(data: bytes, chance: random.Random) -> bytes:
    """Some bytes changed, removed, repeated or inserted."""
    changed = bytearray(data)
    for _ in range(chance.randint(1, 8)):
        start = chance.randrange(len(changed) + 1)
        end = min(start + chance.choice((1, 1, 4, 64, 700)), len(changed))
        kind = chance.randrange(4)
        if kind == 0:
            changed[start:end] = chance.randbytes(end - start)
        elif kind == 1:
            del changed[start:end]
        elif kind == 2:
            changed[start:start] = changed[start:end] * chance.choice((1, 3))
        else:
            changed[start:end] = chance.choice((b"\0", b"\xff", b"9" * 30, b"[[[", b"-1 ", b"../")) * 2
    return bytes(changed)


@pytest.mark.parametrize("name", MAKERS)
def test_a_damaged_set_is_read_or_refused(tmp_path: Path, name: str) -> None:
    made = MAKERS[name](tmp_path / "made")
    files = sorted(path.relative_to(made) for path in made.rglob("*") if path.is_file())
    lists = [file for file in files if file.suffix not in (".jpg", ".JPG")] or files
    read = 0
    for seed in range(COUNT):
        chance, folder = random.Random(f"{name} {seed}"), tmp_path / f"{seed}"
        shutil.copytree(made, folder)
        file = folder / chance.choice(lists)
        file.write_bytes(mutate(file.read_bytes(), chance))
        with suppress(BadInput):
            chosen = select(open_dataset(folder, None, name), chance.choice((0, 2)), seed)
            read += len([row for row in (*chosen.queries, *chosen.catalogue) if row.read()])
        shutil.rmtree(folder)
    assert read
