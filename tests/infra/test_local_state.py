"""The data folder of `lookstream up`: its owner process, its state file, and who may read it."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.local_state import AlreadyRunning, LocalState, lock_data_folder, read_local_state, restrict_permissions

ROOT = Path(__file__).parents[2]


@pytest.fixture
def _own_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def test_a_second_one_is_refused_and_the_first_one_keeps_its_note(tmp_path: Path) -> None:
    with lock_data_folder(tmp_path):
        LocalState(os.getpid(), None, tmp_path / "socket", ready=True, generations=(1, 2)).write(tmp_path)
        with pytest.raises(AlreadyRunning, match=r"runs on .* already: stop it"), lock_data_folder(tmp_path):
            raise AssertionError("it was let in")
        found = read_local_state(tmp_path)
        assert found is not None
        assert (found.index, found.ready, found.generations) == (tmp_path / "socket", True, (1, 2))
    assert read_local_state(tmp_path) is None


def test_a_second_one_that_ends_after_the_lock_was_removed_leaves_the_note_of_the_first(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as first:
        with lock_data_folder(tmp_path):
            LocalState(first.pid, None, None).write(tmp_path)
        assert read_local_state(tmp_path) is not None
        first.communicate(b"\n")


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"pid": 1, "index": ["127.0.0.1", 6339]}'])
def test_a_note_of_another_version_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "up.json").write_text(text)
    assert read_local_state(tmp_path) is None


@pytest.mark.usefixtures("_own_umask")
def test_what_it_makes_and_has_made_is_its_users_alone_and_the_rest_stays(tmp_path: Path) -> None:
    data = tmp_path / "data"
    for folder in ("index/shard", "index-2", "run", "pictures", "albums"):
        (data / folder).mkdir(parents=True)
    for file in ("up.json", "dead-letters.jsonl", "index.key", "mine.txt"):
        (data / file).write_text("x")
    restrict_permissions(data)
    (data / "new").write_text("x")

    def mode(name: str) -> int:
        return (data / name).stat().st_mode & 0o777

    assert [mode(name) for name in ("index", "index-2", "run", "pictures")] == [0o700] * 4
    assert [mode(name) for name in ("up.json", "dead-letters.jsonl", "new")] == [0o600] * 3
    assert (mode("albums"), mode("mine.txt")) == (0o755, 0o644)
    assert not (data / "index.key").exists()


def test_the_note_is_plain_json(tmp_path: Path) -> None:
    LocalState(1, "127.0.0.1:9092", tmp_path / "socket", indexes={1: tmp_path / "socket"}).write(tmp_path)
    assert json.loads((tmp_path / "up.json").read_text())["indexes"] == {"1": str(tmp_path / "socket")}
