"""Connections by hand, for what no HTTP client does: say nothing, or one letter at a time."""

import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from threading import Event, Thread

import httpx

DRIP_SECONDS = 0.2


@contextmanager
def open_connections(
    client: httpx.Client, count: int, first: bytes = b"", source: str = "127.0.0.1"
) -> Iterator[list[socket.socket]]:
    """So many connections to a gateway, each of which has sent the same first bytes."""
    address = (client.base_url.host, client.base_url.port or 0)
    with ExitStack() as stack:
        lines = []
        for _ in range(count):
            line = stack.enter_context(socket.create_connection(address, 30, (source, 0)))
            with suppress(OSError):  # one that had to make room for another
                line.sendall(first)
            lines.append(line)
        yield lines


@contextmanager
def dripping(lines: Sequence[socket.socket], letters: bytes) -> Iterator[None]:
    """A letter on each connection, again and again, for as long as the connection lives."""
    over = Event()

    def drip() -> None:
        turn = 0
        while not over.wait(DRIP_SECONDS):
            turn += 1
            for line in lines:
                with suppress(OSError):
                    line.send(letters[turn % len(letters) :][:1])

    thread = Thread(target=drip)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def answer_on(line: socket.socket) -> bytes:
    """What came on a connection until the gateway closed it."""
    line.settimeout(30)
    found = b""
    with suppress(ConnectionResetError):
        while part := line.recv(65_536):
            found += part
    return found
