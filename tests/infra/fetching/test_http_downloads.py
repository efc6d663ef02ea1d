"""Downloads from a real server on loopback: the result of each answer, and that no server can delay a worker."""

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from infra.config.images import ImageSettings
from infra.fetching.fetcher import ImageFetcher
from infra.fetching.guarded_network import NetworkAccess
from schemas.failures import Code, Failure, Rejected, TryLater
from schemas.items import UrlImage
from tests.infra.fetching.picture_host import JPEG, PICTURE, WEBP, ask, assert_fails, at, fetch, images

PICTURES = {
    "/ok.png": PICTURE,
    "/to-ok": PICTURE,
    "/query?secret=1": PICTURE,
    "/png-as-bytes": PICTURE,
    "/png-as-nothing": PICTURE,
    "/jpeg-as-jpg": JPEG,
    "/jpeg-as-png": JPEG,
    "/webp-as-jpeg": WEBP,
    "/jpeg-as-text": JPEG,
    "/jpeg-as-nonsense": JPEG,
    "/to-utf-8": PICTURE,
    "/to-latin-1": PICTURE,
    "/webp": WEBP,
    "/largest": PICTURE.ljust(100_000),
}


@pytest.mark.parametrize("path", PICTURES)
def test_a_picture_on_the_web_is_fetched(port: int, path: str) -> None:
    assert ask(port, path) == PICTURES[path]


def test_a_request_names_the_formats_that_are_taken(port: int) -> None:
    found = ask(port, "/accept")
    assert isinstance(found, bytes)
    accepted = found.removeprefix(PICTURE).decode().split(", ")
    assert {"image/jpeg", "image/png", "image/webp", "image/gif", "image/avif"} <= set(accepted)
    assert not any("*" in each for each in accepted)


def test_the_host_header_keeps_the_name_while_the_address_is_judged(port: int) -> None:
    assert fetch(UrlImage(url=f"http://localhost:{port}/host")) == PICTURE + f"localhost:{port}".encode()


def test_no_cookie_is_kept(port: int) -> None:
    with images() as opened:
        ref = at(port, "/cookie")
        assert [opened.fetch(ref), opened.fetch(ref)] == [PICTURE + b"None"] * 2


@pytest.mark.parametrize(
    ("path", "kind", "code"),
    [
        ("/404", TryLater, Code.IMAGE_MISSING),
        ("/410", Rejected, Code.IMAGE_MISSING),
        ("/418", Rejected, Code.IMAGE_MISSING),
        ("/204", Rejected, Code.IMAGE_MISSING),
        ("/304", Rejected, Code.IMAGE_MISSING),
        ("/401", Rejected, Code.SOURCE_REFUSED),
        ("/403", Rejected, Code.SOURCE_REFUSED),
        ("/408", TryLater, Code.IMAGE_TIMEOUT),
        ("/504", TryLater, Code.IMAGE_TIMEOUT),
        ("/425", TryLater, Code.IMAGE_UNREACHABLE),
        ("/429", TryLater, Code.IMAGE_UNREACHABLE),
        ("/500", TryLater, Code.IMAGE_UNREACHABLE),
        ("/503", TryLater, Code.IMAGE_UNREACHABLE),
        ("/hang-up", TryLater, Code.IMAGE_UNREACHABLE),
        ("/page", Rejected, Code.IMAGE_FORMAT),
        ("/xhtml", Rejected, Code.IMAGE_FORMAT),
        ("/svg", Rejected, Code.IMAGE_FORMAT),
        ("/json", Rejected, Code.IMAGE_FORMAT),
        ("/xml", Rejected, Code.IMAGE_FORMAT),
        ("/page-as-png", Rejected, Code.IMAGE_FORMAT),
        ("/page-as-bytes", Rejected, Code.IMAGE_FORMAT),
        ("/zipped", Rejected, Code.IMAGE_FORMAT),
        ("/long", Rejected, Code.IMAGE_TOO_LARGE),
        ("/too-large", Rejected, Code.IMAGE_TOO_LARGE),
        ("/endless", Rejected, Code.IMAGE_TOO_LARGE),
        ("/not-yet", Rejected, Code.IMAGE_TOO_LARGE),
        ("/crumbs", Rejected, Code.SOURCE_REFUSED),
        ("/to-private", Rejected, Code.SOURCE_REFUSED),
        ("/to-file", Rejected, Code.SOURCE_REFUSED),
        ("/to-nonsense", Rejected, Code.SOURCE_REFUSED),
        ("/to-credentials", Rejected, Code.SOURCE_REFUSED),
        ("/round", Rejected, Code.SOURCE_REFUSED),
    ],
)
def test_each_answer_of_a_server_has_its_failure(port: int, path: str, kind: type[Failure], code: Code) -> None:
    assert_fails(ask(port, path), kind, code)


def test_a_picture_that_is_not_there_is_tried_once_more_and_a_busy_host_three_times(port: int) -> None:
    missing, busy = ask(port, "/404"), ask(port, "/503")
    assert isinstance(missing, TryLater)
    assert isinstance(busy, TryLater)
    assert (missing.tries, busy.tries) == (1, 3)


@pytest.mark.parametrize("path", ["/drip-body", "/drip-headers"])
def test_a_server_that_drips_cannot_outstay_the_deadline(port: int, path: str) -> None:
    # The server drips for 30 s: only a deadline over the whole request gives this failure.
    assert_fails(ask(port, path, fetch_seconds=0.3), TryLater, Code.IMAGE_TIMEOUT)


@contextmanager
def listen(speak: Callable[[socket.socket], None]) -> Iterator[int]:
    """A listener on loopback that calls `speak` with its one connection; its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def attend() -> None:
            caller, _ = listener.accept()
            with caller, suppress(OSError):
                speak(caller)

        thread = threading.Thread(target=attend)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


def test_a_tls_handshake_that_drips_cannot_either() -> None:
    def drip(caller: socket.socket) -> None:
        caller.sendall(b"\x16\x03\x03\x40\x00")  # a handshake record of 16 kB follows, it says
        for _ in range(600):
            caller.sendall(b"\0")
            time.sleep(0.05)

    with listen(drip) as port:
        found = fetch(UrlImage(url=f"https://127.0.0.1:{port}/a.png"), fetch_seconds=0.3)
    assert_fails(found, TryLater, Code.IMAGE_TIMEOUT)


def test_a_resolver_that_hangs_cannot_either() -> None:
    hung = threading.Event()

    def look_up(host: str, port: int) -> list[str]:
        hung.wait(30)
        return ["93.184.215.14"]

    settings = ImageSettings(fetch_seconds=0.3)
    with closing(ImageFetcher(settings, internet=NetworkAccess(look_up))) as opened:
        found = opened.fetch_all([UrlImage(url=f"https://{n}.test/a.png") for n in range(20)])
        hung.set()
    for failure in found:
        assert_fails(failure, TryLater, Code.IMAGE_TIMEOUT)


def test_a_port_without_a_listener_is_tried_later() -> None:
    assert_fails(ask(1, "/ok.png"), TryLater, Code.IMAGE_UNREACHABLE)


def test_an_unknown_host_name_is_tried_later() -> None:
    found = fetch(UrlImage(url="https://nobody.invalid/a.png"))
    assert_fails(found, TryLater, Code.IMAGE_UNREACHABLE)


@pytest.mark.parametrize("path", ["/etag", "/dated"])
def test_a_picture_that_has_not_changed_is_not_sent_again(port: int, tmp_path: Path, path: str) -> None:
    with images(cache=tmp_path / "kept") as opened:
        ref = at(port, path)
        assert [opened.fetch(ref), opened.fetch(ref)] == [PICTURE, PICTURE]
        [file] = (tmp_path / "kept").iterdir()
        file.unlink()
        assert opened.fetch(ref) == PICTURE
        file.write_bytes(file.read_bytes().replace(b"pretended", b"corrupted"))
        assert opened.fetch(ref) == PICTURE, "a file that is not whole counts as none"


def test_a_picture_is_kept_only_when_its_server_can_tell_whether_it_changed_and_allows_it(
    port: int, tmp_path: Path
) -> None:
    for path in ("/ok.png", "/private", "/404"):
        ask(port, path, cache=tmp_path / "kept")
    assert os.listdir(tmp_path / "kept") == []
