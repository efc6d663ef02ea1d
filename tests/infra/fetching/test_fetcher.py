"""The fetcher: every kind of source, in parallel and within the time limit; a slow source does not delay others."""

import hashlib
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.config.images import ImageSettings
from infra.fetching.circuit_breaker import CircuitBreakers
from infra.fetching.fetcher import ImageFetcher
from infra.fetching.local_files import for_tenant, read_below
from schemas.failures import Code, Failure, Rejected, TryLater
from schemas.items import FileImage, ImageRef, InlineImage, S3Image, UrlImage
from tests.infra.fetching.picture_host import PICTURE, assert_fails, at, fetch, images, run_server, send


def test_a_picture_inside_the_event_is_itself() -> None:
    assert fetch(InlineImage(data=PICTURE)) == PICTURE


def test_an_inline_picture_above_the_limit_is_refused() -> None:
    assert_fails(fetch(InlineImage(data=b"x" * 1001), max_bytes=1000), Rejected, Code.IMAGE_TOO_LARGE)


def test_a_picture_below_a_named_root_is_read(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b.png").write_bytes(PICTURE)
    assert fetch(FileImage(root="shop", path="a/b.png"), roots={"shop": tmp_path}) == PICTURE


def test_an_unknown_root_is_refused_by_the_name_of_its_setting(tmp_path: Path) -> None:
    found = fetch(FileImage(root="barn", path="a.png"), roots={"shop": tmp_path})
    message = assert_fails(found, Rejected, Code.SOURCE_REFUSED)
    assert "LOOKSTREAM_IMAGES_ROOTS" in message
    assert "shop" in message


@pytest.mark.parametrize("path", ["../secret", "a/../../secret", "/etc/passwd", "..", "/", "a/../../root/real.png"])
def test_a_path_that_leaves_its_root_is_refused(tmp_path: Path, path: str) -> None:
    (tmp_path / "secret").write_bytes(PICTURE)
    root = tmp_path / "root"
    root.mkdir()
    assert_fails(fetch(FileImage(root="shop", path=path), roots={"shop": root}), Rejected, Code.SOURCE_REFUSED)


NO_PICTURES = (
    "none.png", "folder", "folder/none", "text.png", "short", "empty", "huge", "locked", "pipe", "socket", "link",
    "dir/secret", "dir/none", "loop", "nowhere", "text.png/below", "a\0b", "x" * 1_000, "y/" * 500, ".",
    "folder/..",
)  # fmt: skip


def test_an_error_reveals_nothing_about_files_that_are_not_pictures(tmp_path: Path) -> None:
    root = tmp_path / "root"
    lay_out(root, tmp_path)
    refusals = set()
    with images(roots={"shop": root}, max_bytes=1_000) as opened, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(root / "socket"))
        for path in NO_PICTURES:
            found = opened.fetch(FileImage(root="shop", path=path))
            message = assert_fails(found, Rejected, Code.IMAGE_MISSING)
            refusals.add(message.replace(f"{path[:200]!r}", "PATH"))
        assert opened.fetch(FileImage(root="shop", path="folder/../real.png")) == PICTURE
        large = assert_fails(opened.fetch(FileImage(root="shop", path="big.png")), Rejected, Code.IMAGE_TOO_LARGE)
    [refusal] = refusals
    assert "PATH` is not a picture" in refusal
    assert "5000" not in large


def lay_out(root: Path, outside: Path) -> None:
    """A folder of one picture, one that is too large, and all that is none."""
    (root / "folder").mkdir(parents=True)
    files = {"real.png": PICTURE, "big.png": PICTURE * 5_000, "text.png": b"TOPSECRET-CA", "short": b"\x89P"}
    files |= {"empty": b"", "huge": b"TOPSECRET" * 5_000, "locked": b"TOPSECRET"}
    for name, data in files.items():
        (root / name).write_bytes(data)
    (root / "locked").chmod(0)
    (outside / "secret").write_bytes(PICTURE)
    os.mkfifo(root / "pipe")
    links = {"link": outside / "secret", "dir": outside, "loop": root / "loop", "nowhere": root / "none"}
    for name, target in links.items():
        (root / name).symlink_to(target)


def test_a_name_that_no_file_can_have_is_refused_at_once_for_its_owner_too(tmp_path: Path) -> None:
    for path in ("x" * 1_000, "a.png/b", "loop/a", "a\0b"):
        (tmp_path / "a.png").write_bytes(PICTURE)
        (tmp_path / "loop").unlink(missing_ok=True)
        (tmp_path / "loop").symlink_to(tmp_path / "loop")
        with pytest.raises(Rejected):
            read_below(tmp_path, path, 1_000)


def test_a_named_folder_is_its_tenants_alone(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(PICTURE)
    ref, path = FileImage(root="shop", path="a.png"), str(tmp_path)
    for root, open_to in (
        (path, ["default"]),
        ({"path": path, "tenants": ["ana", "bo"]}, ["ana", "bo"]),
        ({"path": path, "tenants": ["*"]}, ["default", "ana", "bo", "anyone"]),
        ({"path": path, "tenants": []}, []),
    ):
        with images(roots={"shop": root}) as opened:
            for tenant in ("default", "ana", "bo", "anyone"):
                found = opened.fetch(for_tenant(ref, tenant))
                if tenant in open_to:
                    assert found == PICTURE
                else:
                    message = assert_fails(found, Rejected, Code.SOURCE_REFUSED)
                    assert message.startswith(f"tenant {tenant} has no folder `shop`")
                    assert message.endswith("(it has: none)")
            assert isinstance(opened.fetch(ref), bytes) == ("default" in open_to)


def test_a_root_that_is_not_mounted_is_tried_later(tmp_path: Path) -> None:
    found = fetch(FileImage(root="shop", path="a.png"), roots={"shop": tmp_path / "away"})
    assert_fails(found, TryLater, Code.IMAGE_UNREACHABLE)


def test_a_large_picture_is_refused_before_it_is_read(tmp_path: Path) -> None:
    with (tmp_path / "a.png").open("wb") as file:
        file.write(PICTURE)
        file.truncate(2**40)
    found = fetch(FileImage(root="shop", path="a.png"), roots={"shop": tmp_path})
    assert_fails(found, Rejected, Code.IMAGE_TOO_LARGE)


def test_bytes_that_differ_from_what_the_event_promised_are_rejected(port: int, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(PICTURE)
    url, right, wrong = at(port, "/ok.png").url, hashlib.sha256(PICTURE).hexdigest(), "0" * 64
    with images(roots={"shop": tmp_path}) as opened:
        found = opened.fetch_all(
            [
                UrlImage(url=url, sha256=right),
                UrlImage(url=url, sha256=wrong),
                FileImage(root="shop", path="a.png", sha256=right),
                FileImage(root="shop", path="a.png", sha256=wrong),
            ]
        )
    assert [found[0], found[2]] == [PICTURE, PICTURE]
    for failure in (found[1], found[3]):
        assert_fails(failure, Rejected, Code.IMAGE_DIFFERS)


def test_many_are_fetched_side_by_side_in_order(port: int) -> None:
    refs: list[ImageRef] = [
        InlineImage(data=b"a"),
        at(port, "/ok.png"),
        S3Image(bucket="shop", key="k"),
        InlineImage(data=b"b"),
    ]
    with images() as opened:
        found = opened.fetch_all(refs)
    assert found[:2] == [b"a", PICTURE]
    assert isinstance(found[2], Rejected)
    assert found[3] == b"b"


@settings(max_examples=20, deadline=None)
@given(st.lists(st.sampled_from((100, 30_000, 90_000, 150_000, 400_000, 1_900_000, 2_000_000)), max_size=40))
def test_the_pictures_of_a_wave_fit_into_memory_and_each_comes_once(sizes: list[int]) -> None:
    with TemporaryDirectory() as folder, images(roots={"shop": folder}, max_bytes=1_950_000) as opened:
        for n, size in enumerate(sizes):
            (Path(folder) / f"{n}.png").write_bytes(PICTURE.ljust(size, b"."))
        refs = [FileImage(root="shop", path=f"{n}.png") for n in range(len(sizes))]
        found, earlier = dict[int, int](), dict[int, bytes | Failure]()
        for wave in opened.fetch_waves(refs, held_bytes=1_000_000):
            assert not earlier, "the wave before is still held"
            lengths = {n: len(picture) for n, picture in wave.items() if isinstance(picture, bytes)}
            assert sum(lengths.values()) <= 1_000_000 or len(lengths) == 1
            assert not found.keys() & wave.keys()
            found |= {n: lengths.get(n, 0) for n in wave}
            earlier = wave
    assert [found[n] for n in range(len(sizes))] == [size if size < 1_950_000 else 0 for size in sizes]


class Counting(BaseHTTPRequestHandler):
    """Answers after a while, and counts its concurrent requests; `/never` waits to be released."""

    lock = threading.Lock()
    released = threading.Event()
    now = most = 0

    def do_GET(self) -> None:
        with self.lock:
            Counting.now += 1
            Counting.most = max(self.most, self.now)
        if self.path == "/never":
            self.released.wait(30)
        time.sleep(0.01)
        with self.lock:
            Counting.now -= 1
        with suppress(BrokenPipeError):
            send(self, 200, PICTURE)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def counting() -> Iterator[int]:
    with run_server(Counting) as port:
        Counting.now = Counting.most = 0
        Counting.released.clear()
        yield port
        Counting.released.set()


@pytest.mark.parametrize("per_host", [1, 4])
def test_a_host_is_asked_for_a_few_pictures_at_a_time(counting: int, per_host: int) -> None:
    with images(per_host=per_host) as opened:
        assert opened.fetch_all([at(counting, "/")] * 40) == [PICTURE] * 40
    assert Counting.most == per_host


def test_a_host_that_hangs_does_not_keep_other_hosts_pictures_waiting(counting: int, port: int) -> None:
    # 100 pictures of a host that hangs come first; the other host's would wait for all of them in one queue.
    hung = [UrlImage(url=f"http://localhost:{counting}/never")] * 100
    with images(fetch_seconds=1) as opened:
        found = opened.fetch_all([*hung, *[at(port, "/ok.png")] * 20])
        Counting.released.set()
    assert found[100:] == [PICTURE] * 20
    for failure in found[:100]:
        assert_fails(failure, TryLater, Code.IMAGE_TIMEOUT)


def test_what_has_not_come_within_patience_is_tried_later_and_holds_no_thread(counting: int, port: int) -> None:
    settings = ImageSettings(allow_http=True, allow_hosts=("127.0.0.1", "localhost"))
    with closing(ImageFetcher(settings, patience_s=1.0)) as opened:
        for _ in range(5):  # twenty pictures would hold all sixteen threads for 8 s, were they not given up
            hung = [UrlImage(url=f"http://localhost:{counting}/never")] * 4
            *late, good = opened.fetch_all([*hung, at(port, "/ok.png")])
            assert good == PICTURE
            assert [assert_fails(one, TryLater, Code.IMAGE_TIMEOUT) for one in late]
        Counting.released.set()


def test_a_host_that_only_times_out_is_left_alone_for_a_while(counting: int, port: int) -> None:
    settings = ImageSettings(allow_http=True, allow_hosts=("127.0.0.1", "localhost"), per_host=1)
    now = [0.0]
    ref = UrlImage(url=f"http://localhost:{counting}/never")
    with closing(ImageFetcher(settings, 1.1, breakers=CircuitBreakers(2, 10, clock=lambda: now[0]))) as opened:
        assert "was not fetched within" in assert_fails(opened.fetch(ref), TryLater, Code.IMAGE_TIMEOUT)
        assert "was not fetched within" in assert_fails(opened.fetch(ref), TryLater, Code.IMAGE_TIMEOUT)
        Counting.released.set()
        assert "timed out too often" in assert_fails(opened.fetch(ref), TryLater, Code.IMAGE_TIMEOUT)
        assert opened.fetch(at(port, "/ok.png")) == PICTURE
        now[0] = 10
        assert opened.fetch_all([ref, ref]) == [PICTURE, PICTURE]
