"""A host that delays its clients, or fills their memory, in every way that a server can."""

import gzip
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection

PICTURE = b"\x89PNG\r\n\x1a\n of a healthy host"
DRIP_SECONDS = 0.05
BLOCK = b"\x89PNG\r\n\x1a\n".ljust(65_536, b"x")
OK = b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n"
GIGABYTE = 1_000_000_000

Behaviour = Callable[[socket.socket, threading.Event], None]
"""What happens on a connection once it was asked something, until the event says that all is over."""


def healthy(caller: socket.socket, stop: threading.Event) -> None:
    """A picture."""
    caller.sendall(OK + f"Content-Length: {len(PICTURE)}\r\n\r\n".encode() + PICTURE)


def _without_end(head: bytes, block: bytes, pause: float = 0) -> Behaviour:
    def behave(caller: socket.socket, stop: threading.Event) -> None:
        caller.sendall(head)
        while not stop.wait(pause) if pause else not stop.is_set():
            caller.sendall(block)

    return behave


def _then_silent(head: bytes) -> Behaviour:
    def behave(caller: socket.socket, stop: threading.Event) -> None:
        caller.sendall(head)
        stop.wait()

    return behave


def _gigabyte(head: bytes) -> Behaviour:
    def behave(caller: socket.socket, stop: threading.Event) -> None:
        caller.sendall(head)
        for _ in range(GIGABYTE // len(BLOCK)):
            caller.sendall(BLOCK)

    return behave


def _bomb(caller: socket.socket, stop: threading.Event) -> None:
    """50 MB of one letter, in 50 kB."""
    body = gzip.compress(bytes(50_000_000), 9)
    caller.sendall(OK + f"Content-Encoding: gzip\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)


def _redirect_in_drips(caller: socket.socket, stop: threading.Event) -> None:
    for letter in b"HTTP/1.1 302 Found\r\nLocation: /on\r\nX-Slow: " + b"x" * 10_000:
        if stop.wait(DRIP_SECONDS):
            return
        caller.sendall(bytes([letter]))


HOSTILE: dict[str, Behaviour] = {
    "silent": _then_silent(b""),
    "drip-headers": _without_end(OK + b"X-Slow: ", b"x", DRIP_SECONDS),
    "drip-body": _without_end(OK + b"\r\n", b"x", DRIP_SECONDS),
    "drip-chunks": _without_end(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n", DRIP_SECONDS),
    "drip-redirect": _redirect_in_drips,
    "drip-handshake": _without_end(b"\x16\x03\x03\x40\x00", b"\0", DRIP_SECONDS),
    "endless-body": _without_end(OK + b"\r\n", BLOCK),
    "endless-headers": _without_end(OK, b"X-Flood: " + b"x" * 1_000 + b"\r\n"),
    "endless-header": _without_end(OK + b"X-Flood: ", BLOCK[8:]),
    "endless-continue": _without_end(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1_000),
    "tiny-chunks": _without_end(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n" * 10_000),
    "lying-length": _then_silent(OK + b"Content-Length: 5000\r\n\r\n" + PICTURE),
    "gzip-bomb": _bomb,
    "gigabyte": _gigabyte(OK + f"Content-Length: {GIGABYTE}\r\n\r\n".encode()),
    "gigabyte-unsaid": _gigabyte(OK + b"\r\n"),
}
"""By the first part of a host's name; `drip-handshake` is asked over TLS."""


@contextmanager
def run_host() -> Iterator[int]:
    """All of them in a process of their own: they do not share an interpreter with those whom they attack."""
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_host, args=(theirs,), daemon=True)
    process.start()
    try:
        yield int(ours.recv())
    finally:
        process.kill()
        process.join()


def _host(line: "Connection[object, object]") -> None:
    """Tell the port, and host until killed."""
    with _listening() as port:
        line.send(port)
        threading.Event().wait()


@contextmanager
def _listening() -> Iterator[int]:
    """All of them on one port of loopback: the Host header says which is meant, a TLS hello means the handshake."""
    stop = threading.Event()

    def handle_connection(caller: socket.socket) -> None:
        with caller, suppress(OSError, StopIteration):
            request = caller.recv(65_536)
            lines = request.decode("latin-1").lower().splitlines()
            name = "drip-handshake" if request[:1] == b"\x16" else next(x[6:] for x in lines if x[:6] == "host: ")
            HOSTILE.get(name.partition(".")[0], healthy)(caller, stop)

    with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:

        def accept() -> None:
            with suppress(OSError):
                while True:
                    caller, _ = listener.accept()
                    threading.Thread(target=handle_connection, args=(caller,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1]
