"""The picture fetcher against a real server on loopback, real files, and a table of addresses."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from infra.addresses import is_allowed_host, is_public
from infra.downloads import shown
from infra.images import Images
from infra.settings import Images as ImageSettings
from schemas.failures import Code, Failure, Rejected, TryLater
from schemas.items import FileImage, ImageRef, InlineImage, S3Image, UrlImage

PICTURE = b"\x89PNG pretended"
Answer = Callable[[BaseHTTPRequestHandler], None]


def send(handler: BaseHTTPRequestHandler, status: int, body: bytes = b"", **headers: str) -> None:
    handler.send_response(status)
    given = {"Content-Type": "image/png", "Content-Length": str(len(body))}
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    for name, value in given.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(body)


def drip_body(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Type", "image/png")
    handler.end_headers()
    drip(handler, b"x")


def drip_headers(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    drip(handler, b"x")


def drip(handler: BaseHTTPRequestHandler, letter: bytes) -> None:
    for _ in range(600):
        handler.wfile.write(letter)
        time.sleep(0.05)  # the server's own slowness, which the fetcher must not sit out


def endless(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Type", "image/png")
    handler.end_headers()
    while True:
        handler.wfile.write(b"x" * 65_536)


def hang_up(handler: BaseHTTPRequestHandler) -> None:
    send(handler, 200, b"half", Content_Length="1000")


ANSWERS: dict[str, Answer] = {
    "/ok.png": lambda handler: send(handler, 200, PICTURE),
    "/host": lambda handler: send(handler, 200, handler.headers["Host"].encode()),
    "/cookie": lambda handler: send(handler, 200, str(handler.headers["Cookie"]).encode(), Set_Cookie="a=b"),
    "/query?secret=1": lambda handler: send(handler, 200, PICTURE),
    "/page": lambda handler: send(handler, 200, b"<html>", Content_Type="text/html; charset=utf-8"),
    "/zipped": lambda handler: send(handler, 200, b"zz", Content_Encoding="gzip"),
    "/long": lambda handler: send(handler, 200, b"x", Content_Length="999999999999"),
    "/to-ok": lambda handler: send(handler, 302, Location="/ok.png"),
    "/to-private": lambda handler: send(handler, 302, Location="http://127.0.0.2:80/ok.png"),
    "/to-file": lambda handler: send(handler, 302, Location="file:///etc/passwd"),
    "/round": lambda handler: send(handler, 302, Location="/round"),
    "/drip-body": drip_body,
    "/drip-headers": drip_headers,
    "/endless": endless,
    "/hang-up": hang_up,
    **{f"/{n}": partial(send, status=n) for n in (204, 401, 403, 404, 410, 408, 418, 425, 429, 500, 503)},
}


class Handler(BaseHTTPRequestHandler):
    """Answers by the path."""

    def do_GET(self) -> None:
        try:
            ANSWERS[self.path](self)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()
    thread.join()


@contextmanager
def images(**changes: object) -> Iterator[Images]:
    given = {
        "allow_http": True,
        "allow_hosts": ("127.0.0.1", "localhost"),
        "fetch_seconds": 5,
        "max_bytes": 100_000,
    }
    with closing(Images(ImageSettings.model_validate(given | changes))) as opened:
        yield opened


def fetch(ref: ImageRef, **changes: object) -> bytes | Failure:
    with images(**changes) as opened:
        return opened.fetch(ref)


def ask(port: int, path: str, **changes: object) -> bytes | Failure:
    return fetch(UrlImage(url=f"http://127.0.0.1:{port}{path}"), **changes)


def assert_fails(found: bytes | Failure, kind: type[Failure], code: Code) -> str:
    assert isinstance(found, kind), found
    assert found.code is code, found.message
    return found.message


def test_a_picture_inside_the_event_is_itself() -> None:
    assert fetch(InlineImage(data=PICTURE)) == PICTURE


def test_an_inline_picture_above_the_limit_is_refused() -> None:
    assert_fails(fetch(InlineImage(data=b"x" * 1001), max_bytes=1000), Rejected, Code.IMAGE_TOO_LARGE)


def test_a_picture_in_an_object_store_is_refused_with_what_this_version_reads() -> None:
    message = assert_fails(fetch(S3Image(bucket="shop", key="a.jpg")), Rejected, Code.SOURCE_REFUSED)
    assert "inline, http(s) and file" in message


def test_a_picture_below_a_named_root_is_read(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b.png").write_bytes(PICTURE)
    assert fetch(FileImage(root="shop", path="a/b.png"), roots={"shop": tmp_path}) == PICTURE


def test_an_unknown_root_is_refused_by_the_name_of_its_setting(tmp_path: Path) -> None:
    found = fetch(FileImage(root="barn", path="a.png"), roots={"shop": tmp_path})
    message = assert_fails(found, Rejected, Code.SOURCE_REFUSED)
    assert "LOOKSTREAM_IMAGES_ROOTS" in message
    assert "shop" in message


@pytest.mark.parametrize(
    "path", ["../secret", "a/../../secret", "/etc/passwd", "link", "link-dir/secret", "a\0b", "loop"]
)
def test_a_path_that_leaves_its_root_is_refused(tmp_path: Path, path: str) -> None:
    (tmp_path / "secret").write_bytes(PICTURE)
    root = tmp_path / "root"
    root.mkdir()
    (root / "link").symlink_to(tmp_path / "secret")
    (root / "link-dir").symlink_to(tmp_path)
    (root / "loop").symlink_to(root / "loop")
    assert_fails(fetch(FileImage(root="shop", path=path), roots={"shop": root}), Rejected, Code.SOURCE_REFUSED)


@pytest.mark.parametrize("path", ["none.png", "folder"])
def test_a_missing_file_is_rejected(tmp_path: Path, path: str) -> None:
    (tmp_path / "folder").mkdir()
    found = fetch(FileImage(root="shop", path=path), roots={"shop": tmp_path})
    assert_fails(found, Rejected, Code.IMAGE_MISSING)


def test_a_root_that_is_not_mounted_is_tried_later(tmp_path: Path) -> None:
    found = fetch(FileImage(root="shop", path="a.png"), roots={"shop": tmp_path / "away"})
    assert_fails(found, TryLater, Code.IMAGE_UNREACHABLE)


def test_a_large_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    with (tmp_path / "a.png").open("wb") as file:
        file.truncate(2**40)
    found = fetch(FileImage(root="shop", path="a.png"), roots={"shop": tmp_path})
    assert_fails(found, Rejected, Code.IMAGE_TOO_LARGE)


@pytest.mark.parametrize("path", ["/ok.png", "/to-ok", "/query?secret=1"])
def test_a_picture_on_the_web_is_fetched(port: int, path: str) -> None:
    assert ask(port, path) == PICTURE


def test_the_host_header_keeps_the_name_while_the_address_is_judged(port: int) -> None:
    assert fetch(UrlImage(url=f"http://localhost:{port}/host")) == f"localhost:{port}".encode()


def test_no_cookie_is_kept(port: int) -> None:
    with images() as opened:
        ref = UrlImage(url=f"http://127.0.0.1:{port}/cookie")
        assert [opened.fetch(ref), opened.fetch(ref)] == [b"None", b"None"]


def test_many_are_fetched_side_by_side_in_order(port: int) -> None:
    web = UrlImage(url=f"http://127.0.0.1:{port}/ok.png")
    with images() as opened:
        found = opened.fetch_all(
            [InlineImage(data=b"a"), web, S3Image(bucket="shop", key="k"), InlineImage(data=b"b")]
        )
    assert found[:2] == [b"a", PICTURE]
    assert isinstance(found[2], Rejected)
    assert found[3] == b"b"


@pytest.mark.parametrize(
    ("path", "kind", "code"),
    [
        ("/404", Rejected, Code.IMAGE_MISSING),
        ("/410", Rejected, Code.IMAGE_MISSING),
        ("/418", Rejected, Code.IMAGE_MISSING),
        ("/204", Rejected, Code.IMAGE_MISSING),
        ("/401", Rejected, Code.SOURCE_REFUSED),
        ("/403", Rejected, Code.SOURCE_REFUSED),
        ("/408", TryLater, Code.IMAGE_TIMEOUT),
        ("/425", TryLater, Code.IMAGE_UNREACHABLE),
        ("/429", TryLater, Code.IMAGE_UNREACHABLE),
        ("/500", TryLater, Code.IMAGE_UNREACHABLE),
        ("/503", TryLater, Code.IMAGE_UNREACHABLE),
        ("/hang-up", TryLater, Code.IMAGE_UNREACHABLE),
        ("/page", Rejected, Code.IMAGE_FORMAT),
        ("/zipped", Rejected, Code.IMAGE_FORMAT),
        ("/long", Rejected, Code.IMAGE_TOO_LARGE),
        ("/endless", Rejected, Code.IMAGE_TOO_LARGE),
        ("/to-private", Rejected, Code.SOURCE_REFUSED),
        ("/to-file", Rejected, Code.SOURCE_REFUSED),
        ("/round", Rejected, Code.SOURCE_REFUSED),
    ],
)
def test_each_answer_of_a_server_has_its_failure(port: int, path: str, kind: type[Failure], code: Code) -> None:
    assert_fails(ask(port, path), kind, code)


@pytest.mark.parametrize("path", ["/drip-body", "/drip-headers"])
def test_a_server_that_drips_cannot_outstay_the_deadline(port: int, path: str) -> None:
    # The server drips for 30 s: only a deadline over the whole request gives this failure.
    assert_fails(ask(port, path, fetch_seconds=0.3), TryLater, Code.IMAGE_TIMEOUT)


def test_a_port_that_nobody_listens_on_is_tried_later() -> None:
    assert_fails(ask(1, "/ok.png"), TryLater, Code.IMAGE_UNREACHABLE)


def test_a_name_that_nobody_knows_is_tried_later() -> None:
    found = fetch(UrlImage(url="https://nobody.invalid/a.png"))
    assert_fails(found, TryLater, Code.IMAGE_UNREACHABLE)


def test_plain_http_is_refused_unless_allowed(port: int) -> None:
    message = assert_fails(ask(port, "/ok.png", allow_http=False), Rejected, Code.SOURCE_REFUSED)
    assert "LOOKSTREAM_IMAGES_ALLOW_HTTP" in message


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "127.1",
        "\uff11\uff12\uff17.0.0.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
    ],
)
def test_every_spelling_of_loopback_is_refused(host: str) -> None:
    found = fetch(UrlImage(url=f"http://{host}/ok.png"), allow_hosts=())
    message = assert_fails(found, Rejected, Code.SOURCE_REFUSED)
    assert "LOOKSTREAM_IMAGES_ALLOW_HOSTS" in message


@pytest.mark.parametrize(
    "url",
    [
        "http://user:word@127.0.0.1/a.png",
        "http://127.0.0.1@evil.test/a.png",
        "http://127.0.0.1\\@evil.test/a.png",
        "http://evil.test:8080/a.png",
        "http://a..b/a.png",
        "http://[::1/a.png",
        "http://127.0.0.1:99999/a.png",
        "http:///a.png",
        "http://127.0.0.1/\u202ea.png",
        f"http://{'a' * 64}.test/",
    ],
)
def test_an_address_with_a_trick_in_it_is_refused(url: str) -> None:
    assert_fails(fetch(UrlImage(url=url)), Rejected, Code.SOURCE_REFUSED)


def test_messages_hold_neither_query_nor_credentials() -> None:
    url = "https://user:word@example.com/a.png?token=secret#part"
    assert shown(url) == "https://example.com/a.png"
    message = assert_fails(fetch(UrlImage(url=url)), Rejected, Code.SOURCE_REFUSED)
    assert "word" not in message
    assert "secret" not in message


BAD = """
    0.0.0.0 10.0.0.1 100.64.0.1 127.0.0.1 127.255.255.255 169.254.169.254 172.16.0.1 192.0.0.192 192.0.2.1
    192.88.99.1 192.168.1.1 198.18.0.1 203.0.113.1 224.0.0.1 240.0.0.1 255.255.255.255
    :: ::1 ::127.0.0.1 ::ffff:127.0.0.1 ::ffff:8.8.8.8 64:ff9b::7f00:1 64:ff9b::a9fe:a9fe 64:ff9b:1::1
    2001::1 2001:db8::1 2002:7f00:1:: fc00::1 fd00:ec2::254 fe80::1 fe80::1%eth0 fec0::1 ff02::1 nonsense
"""


@pytest.mark.parametrize("address", BAD.split())
def test_an_address_that_is_not_public_is_refused(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "93.184.215.14", "2606:4700::1111", "2a00:1450:4001::1"])
def test_a_public_address_is_let_through(address: str) -> None:
    assert is_public(address)


def test_an_allowed_host_is_a_whole_name_or_below_a_leading_dot() -> None:
    allowed = ("cdn.local", ".shop.test")
    assert is_allowed_host("cdn.local", allowed)
    assert is_allowed_host("a.shop.test", allowed)
    assert not is_allowed_host("evil-cdn.local", allowed)
    assert not is_allowed_host("shop.test", allowed)
    assert not is_allowed_host("cdn.local.evil.test", allowed)
