"""The folder of the embedded index: copies that are made in two passes."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infra.qdrant.embedded.storage import mirror, remove

FILES = st.dictionaries(
    st.sampled_from(
        ("config.json", "wal/open-1", "segments/a/graph", "segments/a/vectors/chunk", "segments/b/graph")
    ),
    st.binary(max_size=24),
)
"""Files of a shard that is small enough to be many."""


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.qdrant.embedded.storage.BLOCK_BYTES", 4)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(first=FILES, second=FILES)
def test_a_second_look_makes_the_copy_what_the_shard_is_by_then(
    first: Mapping[str, bytes], second: Mapping[str, bytes], tmp_path: Path
) -> None:
    shard, copy = tmp_path / "shard", tmp_path / "copy"
    for path in (shard, copy):
        remove(path)
    for files in (first, second):
        _write(shard, files)
        mirror(shard, copy)
        assert _read(copy) == files


def test_what_is_equal_already_is_not_written_again(tmp_path: Path) -> None:
    _write(tmp_path / "shard", {"graph": b"0123456789", "log": b"abcdefgh"})
    mirror(tmp_path / "shard", tmp_path / "copy")
    written = (tmp_path / "copy" / "graph").stat().st_mtime_ns
    (tmp_path / "shard" / "log").write_bytes(b"abcdXfgh")
    mirror(tmp_path / "shard", tmp_path / "copy")
    assert (tmp_path / "copy" / "graph").stat().st_mtime_ns == written
    assert (tmp_path / "copy" / "log").read_bytes() == b"abcdXfgh"


def test_parts_of_the_log_that_are_made_ahead_of_time_are_left_out(tmp_path: Path) -> None:
    _write(tmp_path / "shard", {"wal/open-1": b"log", "wal/tmp-open-2": b""})
    mirror(tmp_path / "shard", tmp_path / "copy")
    assert _read(tmp_path / "copy") == {"wal/open-1": b"log"}


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    remove(folder)
    folder.mkdir()
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _read(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
