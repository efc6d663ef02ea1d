"""Raw connections, for what no HTTP client does: send nothing, or one byte at a time."""

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
    """Open so many connections to a gateway, and send the same first bytes on each."""
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
def drip_continuously(lines: Sequence[socket.socket], letters: bytes) -> Iterator[None]:
    """Send a byte on each open connection, again and again."""
    stop = Event()

    def drip() -> None:
        turn = 0
        while not stop.wait(DRIP_SECONDS):
            turn += 1
            for line in lines:
                with suppress(OSError):
                    line.send(letters[turn % len(letters) :][:1])

    thread = Thread(target=drip)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def answer_on(line: socket.socket) -> bytes:
    """The bytes received on a connection until the gateway closed it."""
    line.settimeout(30)
    found = b""
    with suppress(ConnectionResetError):
        while part := line.recv(65_536):
            found += part
    return found
