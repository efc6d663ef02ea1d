"""A host of pictures on loopback, which answers by the path; and fetching from it."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from infra.config.images import ImageSettings
from infra.fetching.fetcher import ImageFetcher
from schemas.failures import Code, Failure
from schemas.items import ImageRef, UrlImage

PICTURE = b"\x89PNG\r\n\x1a\n pretended"
JPEG = b"\xff\xd8\xff pretended"
WEBP = b"RIFF\x10\0\0\0WEBP pretended"
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
    drip(handler)


def drip_headers(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    drip(handler)


def drip(handler: BaseHTTPRequestHandler) -> None:
    for _ in range(600):
        handler.wfile.write(b"x")
        time.sleep(0.05)  # the server's own slowness, which the fetcher must not sit out


def endless(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Type", "image/png")
    handler.end_headers()
    while True:
        handler.wfile.write(b"x" * 65_536)


def not_yet_without_end(handler: BaseHTTPRequestHandler) -> None:
    while True:
        handler.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n" * 1_000)


def revalidated(handler: BaseHTTPRequestHandler) -> None:
    """A picture with an ETag."""
    if handler.headers["If-None-Match"] == '"1"':
        send(handler, 304)
    else:
        send(handler, 200, PICTURE, ETag='"1"')


def dated(handler: BaseHTTPRequestHandler) -> None:
    then = "Tue, 15 Nov 2022 12:45:26 GMT"
    if handler.headers["If-Modified-Since"] == then:
        send(handler, 304)
    else:
        send(handler, 200, PICTURE, Last_Modified=then)


def crumbs(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nTransfer-Encoding: chunked\r\n\r\n")
    handler.wfile.write(b"1\r\nx\r\n" * 10_000 + b"0\r\n\r\n")


ANSWERS: dict[str, Answer] = {
    "/ok.png": lambda handler: send(handler, 200, PICTURE),
    "/host": lambda handler: send(handler, 200, PICTURE + handler.headers["Host"].encode()),
    "/cookie": lambda handler: send(
        handler, 200, PICTURE + str(handler.headers["Cookie"]).encode(), Set_Cookie="a=b"
    ),
    "/query?secret=1": lambda handler: send(handler, 200, PICTURE),
    "/page": lambda handler: send(handler, 200, b"<html>", Content_Type="text/html; charset=utf-8"),
    "/page-as-png": lambda handler: send(handler, 200, b"<html>"),
    "/page-as-bytes": lambda handler: send(handler, 200, b"<html>", Content_Type="application/octet-stream"),
    "/png-as-bytes": lambda handler: send(handler, 200, PICTURE, Content_Type="binary/octet-stream"),
    "/png-as-nothing": lambda handler: send(handler, 200, PICTURE, Content_Type=""),
    "/jpeg-as-png": lambda handler: send(handler, 200, JPEG),
    "/jpeg-as-jpg": lambda handler: send(handler, 200, JPEG, Content_Type="image/jpg"),
    "/webp": lambda handler: send(handler, 200, WEBP, Content_Type="Image/WebP; q=1"),
    "/webp-as-jpeg": lambda handler: send(handler, 200, WEBP, Content_Type="image/jpeg"),
    "/jpeg-as-text": lambda handler: send(handler, 200, JPEG, Content_Type="text/plain; charset=utf-8"),
    "/jpeg-as-nonsense": lambda handler: send(handler, 200, JPEG, Content_Type="jpg"),
    "/xhtml": lambda handler: send(handler, 200, JPEG, Content_Type="application/xhtml+xml"),
    "/svg": lambda handler: send(handler, 200, b"<svg/>", Content_Type="image/svg+xml"),
    "/json": lambda handler: send(handler, 200, b"{}", Content_Type="application/problem+json"),
    "/xml": lambda handler: send(handler, 200, b"<a/>", Content_Type="text/xml; charset=utf-8"),
    "/accept": lambda handler: send(handler, 200, PICTURE + str(handler.headers["Accept"]).encode()),
    "/caf%C3%A9.png": lambda handler: send(handler, 200, PICTURE),
    "/caf%E9%20a.png": lambda handler: send(handler, 200, PICTURE),
    # http.server writes headers as Latin-1.
    "/to-utf-8": lambda handler: send(handler, 302, Location="/caf\u00e9.png".encode().decode("latin-1")),
    "/to-latin-1": lambda handler: send(handler, 302, Location="/caf\u00e9 a.png"),
    "/zipped": lambda handler: send(handler, 200, b"zz", Content_Encoding="gzip"),
    "/long": lambda handler: send(handler, 200, b"x", Content_Length="999999999999"),
    "/largest": lambda handler: send(handler, 200, PICTURE.ljust(100_000)),
    "/too-large": lambda handler: send(handler, 200, PICTURE.ljust(100_001)),
    "/hang-up": lambda handler: send(handler, 200, b"half", Content_Length="1000"),
    "/to-ok": lambda handler: send(handler, 302, Location="/ok.png"),
    "/to-private": lambda handler: send(handler, 302, Location="http://127.0.0.2:80/ok.png"),
    "/to-file": lambda handler: send(handler, 302, Location="file:///etc/passwd"),
    "/to-nonsense": lambda handler: send(handler, 302, Location="http://[::1"),
    "/to-credentials": lambda handler: send(handler, 302, Location="http://user:word@127.0.0.1/ok.png"),
    "/round": lambda handler: send(handler, 302, Location="/round"),
    "/drip-body": drip_body,
    "/drip-headers": drip_headers,
    "/endless": endless,
    "/crumbs": crumbs,
    "/not-yet": not_yet_without_end,
    "/etag": revalidated,
    "/dated": dated,
    "/private": lambda handler: send(handler, 200, PICTURE, ETag='"1"', Cache_Control="no-store"),
    **{f"/{n}": partial(send, status=n) for n in (204, 304, 401, 403, 404, 410, 408, 418, 425, 429, 500, 503, 504)},
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


@contextmanager
def run_server(handler: type[BaseHTTPRequestHandler]) -> Iterator[int]:
    """A server on loopback; its port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def images(**changes: object) -> Iterator[ImageFetcher]:
    given = {
        "allow_http": True,
        "allow_hosts": ("127.0.0.1", "localhost"),
        "fetch_seconds": 5,
        "max_bytes": 100_000,
    }
    with closing(ImageFetcher(ImageSettings.model_validate(given | changes))) as opened:
        yield opened


def fetch(ref: ImageRef, **changes: object) -> bytes | Failure:
    with images(**changes) as opened:
        return opened.fetch(ref)


def at(port: int, path: str) -> UrlImage:
    return UrlImage(url=f"http://127.0.0.1:{port}{path}")


def ask(port: int, path: str, **changes: object) -> bytes | Failure:
    return fetch(at(port, path), **changes)


def assert_fails(found: bytes | Failure, kind: type[Failure], code: Code) -> str:
    assert isinstance(found, kind), found
    assert found.code is code, found.message
    return found.message
