"""The folder of cached pictures: bounded, and each file whole or absent, with other writers and kills."""

import multiprocessing
import os
import time
from pathlib import Path

import pytest

from infra.fetching.http_cache import STALE_SECONDS, CachedResponse, HttpCache


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


def test_a_picture_is_returned_with_the_mark_of_its_version(tmp_path: Path) -> None:
    cache = HttpCache(tmp_path / "a" / "b", 10_000)
    cache.keep("https://a.test/1", CachedResponse('"e"', "Tue", b"one\ntwo"))
    cache.keep("https://a.test/2", CachedResponse("", "Tue", b""))
    cache.keep("https://a.test/3", CachedResponse("", "", b"three"))
    found = [HttpCache(tmp_path / "a" / "b", 10_000).find(f"https://a.test/{n}") for n in (1, 2, 3, 4)]
    assert found == [CachedResponse('"e"', "Tue", b"one\ntwo"), CachedResponse("", "Tue", b""), None, None]
    assert [one.conditions for one in found if one] == [{"If-None-Match": '"e"'}, {"If-Modified-Since": "Tue"}]


def test_the_folder_stays_within_its_size_and_keeps_what_was_used_last(tmp_path: Path) -> None:
    cache = HttpCache(tmp_path, 100_000)
    cache.keep("used", CachedResponse("e", "", b"x" * 5_000))
    for n in range(60):
        cache.keep(f"other-{n}", CachedResponse("e", "", b"x" * 5_000))
        os.utime(cache._path(f"other-{n}"), (n, n))
        assert cache.find("used") is not None
        assert size_of(tmp_path) <= 110_000
    assert cache.find("other-59") is not None
    assert cache.find("other-0") is None


@pytest.mark.parametrize("content", [b"", b"\n", b"{}\nx", b"[]\nx", b"\xff\n", b'{"etag": "e", "sha256": "0"}\nx'])
def test_a_file_that_is_not_whole_counts_as_none(tmp_path: Path, content: bytes) -> None:
    cache = HttpCache(tmp_path, 10_000)
    cache._path("a").write_bytes(content)
    assert cache.find("a") is None


def test_what_a_killed_process_left_half_written_is_swept(tmp_path: Path) -> None:
    cache = HttpCache(tmp_path, 10_000)
    for name, age in (("old.part", STALE_SECONDS + 9), ("new.part", 9)):
        (tmp_path / name).write_bytes(b"half")
        os.utime(tmp_path / name, (time.time() - age, time.time() - age))
    cache.keep("a", CachedResponse("e", "", b"x"))
    assert {path.name for path in tmp_path.glob("*.part")} == {"new.part"}


def test_a_disk_that_fails_means_only_that_nothing_is_kept(tmp_path: Path) -> None:
    cache = HttpCache(tmp_path / "a", 10_000)
    (tmp_path / "a").rmdir()
    cache.keep("a", CachedResponse("e", "", b"x"))
    assert cache.find("a") is None


def write_without_end(folder: Path) -> None:
    cache = HttpCache(folder, 200_000)
    n = 0
    while True:
        n += 1
        cache.keep(f"https://a.test/{n % 7}", CachedResponse(f"{n}", "", bytes([n % 256]) * 20_000))


def test_readers_never_see_half_a_picture_while_writers_are_killed(tmp_path: Path) -> None:
    cache = HttpCache(tmp_path, 200_000)
    context = multiprocessing.get_context("spawn")
    found = 0
    for _ in range(2):
        writers = [context.Process(target=write_without_end, args=(tmp_path,)) for _ in range(2)]
        for writer in writers:
            writer.start()
        until = time.monotonic() + 20
        hits = 0
        while hits < 200 and time.monotonic() < until:
            for n in range(7):
                cached = cache.find(f"https://a.test/{n}")
                if cached is not None:
                    hits += 1
                    assert cached.body == bytes([int(cached.etag) % 256]) * 20_000
        for writer in writers:
            writer.kill()
            writer.join()
        found += hits
    assert found >= 400
