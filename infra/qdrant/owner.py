"""The process that owns the embedded index: it alone opens the shard, and answers all others one at a time."""

import fcntl
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import AuthenticationError
from multiprocessing.connection import Connection, answer_challenge, deliver_challenge
from pathlib import Path
from types import FrameType

from infra.qdrant.embedded import EXPECTED, METHODS, Address, Request
from infra.qdrant.plan import Index
from infra.qdrant.shard import Shard
from schemas.failures import Unavailable

MIN_FREE = 256 << 20
"""Bytes of disk that must be free for a write: twice the engine's write-ahead log, with some room."""


class IndexBusy(Exception):
    """Another process owns the folder or the port; the message names it and the remedy."""


def serve(folder: Path, address: Address, authkey: bytes, min_free: int = MIN_FREE) -> None:
    """Own the shard in `folder` and answer on `address` until SIGTERM or SIGINT: then flush, close and exit 0.

    To be called in the main thread of a process of its own. Writes are refused with less than `min_free` bytes of
    disk free. Raises IndexBusy when another process owns the folder or the port.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _sole_owner(folder), _listening(address) as listener:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _stop)
        desk = _Desk(Shard(folder, min_free), authkey)
        try:
            while True:
                threading.Thread(target=desk.attend, args=(listener.accept()[0],), daemon=True).start()
        finally:
            desk.close()


def _stop(_number: int, _frame: FrameType | None) -> None:
    sys.exit(0)


@contextmanager
def _sole_owner(folder: Path) -> Iterator[None]:
    with (folder / "lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise IndexBusy(
                f"another process owns the index in {folder}: stop it, or choose another LOOKSTREAM_DATA folder"
            ) from None
        yield


def _listening(address: Address) -> socket.socket:
    try:
        return socket.create_server(address, backlog=128)
    except OSError as error:
        raise IndexBusy(
            f"the index cannot listen on {address[0]}:{address[1]} ({error.strerror}): choose another port"
        ) from None


class _Desk:
    """Answers connections, each in a thread of its own; the shard does one thing at a time."""

    def __init__(self, index: Index, authkey: bytes) -> None:
        self._index = index
        self._authkey = authkey
        self._lock = threading.Lock()

    def attend(self, stream: socket.socket) -> None:
        """Answers one client until it hangs up; a failure outside the contract hangs up, with its trace."""
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = Connection(stream.detach())
        with connection, suppress(OSError, EOFError, AuthenticationError):
            deliver_challenge(connection, self._authkey)
            answer_challenge(connection, self._authkey)
            while True:
                connection.send(self._done(connection.recv()))

    def _done(self, request: Request) -> object:
        method, arguments = request
        if method not in METHODS:
            return ValueError(f"an index has no method {method[:40]!r}")
        with self._lock:
            try:
                return getattr(self._index, method)(*arguments)
            except EXPECTED as error:
                return error
            except OSError as error:
                return Unavailable(f"the embedded index could not {method}: {error}")

    def close(self) -> None:
        """Waits for what is being done, then flushes; the lock is kept, so that nothing follows."""
        self._lock.acquire()
        self._index.close()
