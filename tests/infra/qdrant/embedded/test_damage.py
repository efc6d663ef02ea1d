"""An embedded index with damaged files: the error names the damage, the file, and the remedy."""

import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from infra.qdrant.contract import EngineError, Point, SearchPlan
from infra.qdrant.embedded.damage import (
    EXIT_CODE,
    IndexDamaged,
    damage_error,
    engine_error,
    read_note,
    record_damage,
    translate_open_errors,
)
from infra.qdrant.embedded.shard import Shard
from infra.qdrant.embedded.storage import POINTER, current_shard

ROOT = Path(__file__).parents[4]
SIZE, COUNT = 96, 60
"""96 numbers do not divide the files of vectors, as 384 do not."""
Break = Callable[[Path], object]


def points() -> list[Point]:
    """Points of as many items."""
    looks = np.random.default_rng(0).standard_normal((COUNT, SIZE)).astype(np.float32)
    facts = {"tenant": "t", "version": 1, "state": "live"}
    return [
        Point(str(uuid.UUID(int=n + 1)), {"item": f"t:{n}", "item_id": str(n), **facts}, look)
        for n, look in enumerate(looks)
    ]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an index with all as it should be."""
    folder = tmp_path_factory.mktemp("whole")
    shard = Shard(folder, 0)
    shard.open("encoder", SIZE)
    shard.upsert(points())
    shard.close()
    return folder


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy of it."""
    shutil.copytree(whole, tmp_path / "index")
    yield tmp_path / "index"
    shutil.rmtree(tmp_path / "index", ignore_errors=True)  # an engine that failed while opening may still write


def segment(folder: Path, name: str) -> Path:
    """A file of the segment that has the points."""
    [found] = folder.glob(f"shard/segments/*/{name}")
    return found


def overwrite(path: Path, data: bytes) -> None:
    """Change the beginning of a file."""
    with path.open("r+b") as file:
        file.write(data)


VECTORS = "vector_storage-look/vectors/chunk_0.mmap"
BROKEN: dict[str, tuple[Break, str]] = {
    "segment.json is missing": (lambda f: segment(f, "segment.json").unlink(), "segment.json"),
    "segment.json is cut off": (lambda f: segment(f, "segment.json").write_text("{"), "segment.json"),
    "the log holds garbage": (lambda f: overwrite(f / "shard/wal/open-1", b"garbage!" * 99), "WAL"),
    "the ids hold garbage": (
        lambda f: overwrite(segment(f, "mutable_id_tracker.mappings"), b"\xa7" * 99),
        "ID tracker",
    ),
    "the vectors are cut off": (lambda f: os.truncate(segment(f, VECTORS), 10_000), "vector"),
    "the vectors are gone": (lambda f: segment(f, VECTORS).unlink(), "vector"),
    "vectors are NaN": (
        lambda f: overwrite(segment(f, VECTORS), np.full(SIZE * 9, np.nan, np.float32).tobytes()),
        "chunk_0.mmap holds vectors with NaN",
    ),
    "vectors are huge": (
        lambda f: overwrite(segment(f, VECTORS), np.full(SIZE * 9, 1e30, np.float32).tobytes()),
        "beyond any vector's",
    ),
    "the segments are gone": (lambda f: shutil.rmtree(f / "shard/segments"), "which encoder"),
    "the payloads' tracker holds garbage": (
        lambda f: overwrite(segment(f, "payload_storage/tracker.dat"), b"\xff\x07" * 4_500),
        "Panic",
    ),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_damaged_files_are_reported_when_the_index_is_opened(folder: Path, kind: str) -> None:
    break_it, names = BROKEN[kind]
    break_it(folder)
    with pytest.raises(IndexDamaged) as raised:
        Shard(folder, 0)
    for words in (f"the index in {folder} is damaged", names, f"put the folder {folder} back from a copy"):
        assert words in str(raised.value)


def test_a_whole_index_opens(folder: Path) -> None:
    shard = Shard(folder, 0)
    assert shard.count() == COUNT
    shard.close()


def test_damage_leaves_a_note_until_the_index_opens(tmp_path: Path) -> None:
    with pytest.raises(IndexDamaged), record_damage(tmp_path):
        raise damage_error(tmp_path, "a bit has flipped")
    assert "a bit has flipped" in (read_note(tmp_path) or "")
    with record_damage(tmp_path):
        pass
    assert read_note(tmp_path) is None


def test_a_search_reports_a_vector_that_breaks_while_the_index_is_open(folder: Path) -> None:
    shard = Shard(folder, 0)
    overwrite(segment(folder, VECTORS), np.full(SIZE * COUNT, 3e38, np.float32).tobytes())
    with pytest.raises(RuntimeError, match=r"the vector of point .* is corrupt") as error:
        shard.search([SearchPlan(np.ones(SIZE, np.float32), "t")])
    assert isinstance(engine_error(error.value, folder), IndexDamaged)


def test_a_search_with_nan_is_its_own_fault(folder: Path) -> None:
    shard, vector = Shard(folder, 0), np.zeros(SIZE, np.float32)
    vector[0] = np.inf
    with pytest.raises(ValueError, match="NaN or infinity"):
        shard.search([SearchPlan(vector, "t")])
    shard.close()


def test_a_full_disk_is_no_damage(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="cannot be opened") as raised, translate_open_errors(tmp_path):
        raise RuntimeError("No space left on device (os error 28)")
    assert not isinstance(raised.value, IndexDamaged)


@pytest.mark.parametrize("name", ["../..", "/etc", "shard/../..", "other", "", "shard-1/x"])
def test_a_pointer_leads_nowhere_but_to_a_shard(tmp_path: Path, name: str) -> None:
    (tmp_path / POINTER).write_text(name)
    with pytest.raises(IndexDamaged, match="which is no shard of it"):
        current_shard(tmp_path)


def lookstream(data: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """A command of lookstream."""
    environment = {**os.environ, "LOOKSTREAM_DATA": str(data), "LOOKSTREAM_ENCODER": "fake"}
    return subprocess.run(
        [sys.executable, "-m", "lookstream", *words],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300,
    )  # fmt: skip


def test_up_and_index_status_end_with_what_is_broken(folder: Path) -> None:
    segment(folder, "segment.json").unlink()
    up = lookstream(folder.parent, "up", "--no-gateway")
    assert up.returncode == 1
    last = up.stderr.splitlines()[-1]
    assert last.startswith(
        f"error: the index ended at once (exit code {EXIT_CODE}): the index in {folder} is damaged"
    )
    assert last.endswith("if the disk is at fault, replace it first")
    assert up.stderr.count("waiting for the index") == 0
    status = lookstream(folder.parent, "index", "status")
    assert status.returncode == 1
    [line] = status.stderr.splitlines()
    assert line.startswith(f"error: the index in {folder} is damaged")
