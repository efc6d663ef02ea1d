"""A folder of pictures in a whole system: stored once by content, searchable, and none lost."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from infra.local_state import read_local_state
from infra.qdrant.embedded.client import EmbeddedIndex
from infra.qdrant.point_ids import point_id
from tests.conftest import draw_disc
from tests.end_to_end.shop import hits
from tests.end_to_end.system import LOOKSTREAM, ROOT, System
from tests.producers.conftest import noise
from tests.producers.image_sync.test_locations import write


def pictures_in(system: System) -> list[Path]:
    """The pictures of the content store, without what a killed process has not finished: a sweep takes that."""
    return [path for path in (system.folder / "pictures").rglob("*") if path.is_file() and path.name[0] != "."]


@pytest.mark.long
def test_a_folder_is_searchable_its_pictures_are_kept_once_and_a_reindex_misses_none(
    system: System, discs: Path, tmp_path: Path
) -> None:
    write(discs, b"caf\xe9.png", "red again.png", data=(discs / "red.png").read_bytes())
    write(discs, "large.png", data=noise(900, 600))
    write(discs, "a.mov", "empty.png", data=b"")
    done = system.run("ingest", "pictures", discs, code=1)
    assert "caf\\xe9.png: its name is not UTF-8: rename it" in done.stderr
    assert "empty.png: the picture is an empty file" in done.stderr
    assert "1 file passed over: 1 .mov" in done.stderr
    names = [f"{name}.png" for name in ("red", "green", "blue", "yellow", "black", "large", "red again")]
    system.wait_for(lambda: system.indexed(names) == len(names), "the folder to be indexed")
    assert hits(system.search(discs / "large.png"))[0] == "large.png"
    if not system.has_local_broker:  # and no bucket is named: pictures travel in the events
        assert pictures_in(system) == []
        return
    assert len(pictures_in(system)) == len(names) - 1
    assert [path for path in pictures_in(system) if path.stat().st_mode & 0o077] == []
    assert payload(system, "large.png")["root"] == "_content"

    assert system.run("images", "sweep", "--dry-run").stdout == ""
    done = system.run("reindex", "--encoder", "fake2")
    assert "0 are missing" in done.stderr
    system.wait_for(lambda: hits(system.search(discs / "large.png"))[0] == "large.png", "the new index to answer")

    system.run("delete", "large.png")
    system.wait_for(lambda: "large.png" not in hits(system.search(discs / "large.png")), "the item to be gone")
    system.run("reindex", "drop")
    long_ago = time.time() - 40 * 86_400
    for path in pictures_in(system):
        os.utime(path, (long_ago, long_ago))
    [line] = system.run("images", "sweep").stdout.splitlines()
    assert line.startswith("default/")
    assert len(pictures_in(system)) == len(names) - 2


def payload(system: System, item: str) -> dict[str, str]:
    """The reference that the index has for the picture of an item."""
    running = read_local_state(system.folder)
    assert running is not None
    assert running.index is not None
    index = EmbeddedIndex(running.index)
    try:
        [found] = index.payloads([point_id("default", item, 0)], ("image",)).values()
    finally:
        index.close()
    ref = found["image"]
    assert isinstance(ref, dict)
    return ref


@pytest.mark.long
def test_ingestion_of_a_folder_continues_wherever_it_was_killed(
    make_system: Callable[..., System], tmp_path: Path
) -> None:
    system, folder = make_system().start(), tmp_path / "pictures"
    names = [f"{n:03}.png" for n in range(250)]
    for n, name in enumerate(names):
        write(folder, name, data=draw_disc(f"#{n:02x}{255 - n:02x}40") + b"%d" % n)
    command = [*LOOKSTREAM, "ingest", "pictures", str(folder)]
    for seconds in (0.9, 1.0, 1.1, 1.3, 1.6):
        with subprocess.Popen(
            command, env=dict(system.environment), cwd=ROOT, stderr=subprocess.DEVNULL
        ) as process:
            time.sleep(seconds)
            process.send_signal(signal.SIGKILL)
    system.run("ingest", "pictures", folder)
    assert "sent 0 events" in system.run("ingest", "pictures", folder).stderr
    system.wait_for(lambda: system.indexed(names) == len(names), "the folder to be indexed")
    assert len(pictures_in(system)) == (len(names) if system.has_local_broker else 0)
