"""The embedded index: one process owns the shard and answers all others over a loopback socket.

Each request is a pickled (method, arguments), sent after both sides have proved that they know the same key.
"""

import fcntl
import signal
import socket
import struct
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import AuthenticationError
from multiprocessing.connection import Connection, answer_challenge, deliver_challenge
from pathlib import Path
from types import FrameType
from typing import Any

from infra.qdrant.plan import EncoderDiffers, Found, Index, Patch, Payload, Point, SearchPlan, Vector
from schemas.failures import Unavailable

MIN_FREE = 256 << 20
"""Bytes of disk that must be free for a write: twice the engine's write-ahead log, with some room."""

METHODS = frozenset(
    {"open", "payloads", "upsert", "patch", "remove", "collect_tombstones", "search", "vectors", "sample", "count"}
    | {"take_note", "note", "flush"}
)
EXPECTED = (ValueError, EncoderDiffers, Unavailable)
"""What a method may raise by its contract; it travels back to the caller."""

Address = tuple[str, int]
Request = tuple[str, tuple[object, ...]]


class IndexBusy(Exception):
    """Another process owns the folder or the port; the message names it and the remedy."""


class EmbeddedIndex:
    """An Index that asks the process of `serve`; for any number of threads, one at a time.

    It connects when first asked, and again by itself after the engine's process was killed and restarted.
    Asking twice is safe, since every write carries its condition.
    """

    def __init__(self, address: Address, authkey: bytes, timeout_s: float = 10) -> None:
        self._address = address
        self._authkey = authkey
        self._timeout_s = timeout_s
        self._connection: Connection | None = None
        self._lock = threading.Lock()

    def open(self, fingerprint: str, size: int) -> None:
        """Make the shard for vectors of `size`, or check it; raises EncoderDiffers."""
        self._ask("open", fingerprint, size)

    def payloads(self, ids: Sequence[str], keys: Sequence[str]) -> dict[str, Payload]:
        """These payload keys of each point that exists, tombstones included."""
        payloads: dict[str, Payload] = self._ask("payloads", list(ids), list(keys))
        return payloads

    def upsert(self, points: Sequence[Point]) -> None:
        """Write the points in their order, those of one version together; raises ValueError on a bad vector."""
        self._ask("upsert", list(points))

    def patch(self, patches: Sequence[Patch]) -> None:
        """Change payloads of live points, in their order."""
        self._ask("patch", list(patches))

    def remove(self, versions: Mapping[str, int]) -> None:
        """Remove the points of these ids, each where its stored version is below."""
        self._ask("remove", dict(versions))

    def collect_tombstones(self, before_us: int) -> int:
        """Remove tombstones that are older than this moment; how many."""
        count: int = self._ask("collect_tombstones", before_us)
        return count

    def search(self, plans: Sequence[SearchPlan]) -> list[list[Found]]:
        """Best first for each plan, live points alone, one for each item."""
        found: list[list[Found]] = self._ask("search", list(plans))
        return found

    def vectors(self, ids: Sequence[str]) -> dict[str, Vector]:
        """The vector of each live point that exists."""
        vectors: dict[str, Vector] = self._ask("vectors", list(ids))
        return vectors

    def sample(self, tenant: str, limit: int) -> dict[str, Payload]:
        """Up to `limit` live points of a tenant, the first by id: some payload keys of each."""
        sample: dict[str, Payload] = self._ask("sample", tenant, limit)
        return sample

    def count(self, tenant: str | None = None) -> int:
        """How many live points there are, in all or of one tenant."""
        count: int = self._ask("count", tenant)
        return count

    def take_note(self, name: str, note: Payload) -> None:
        """Keep a note in the collection, in place of an older one of that name."""
        self._ask("take_note", name, dict(note))

    def note(self, name: str) -> Payload | None:
        """The note of that name; none when nobody took it."""
        note: Payload | None = self._ask("note", name)
        return note

    def flush(self) -> None:
        """Make what was written survive a power loss; a killed process loses nothing even without it."""
        self._ask("flush")

    def close(self) -> None:
        """Hang up; the engine's process goes on for others."""
        with self._lock:
            self._hang_up()

    def _ask(self, method: str, *arguments: object) -> Any:
        with self._lock:
            answer = self._answer((method, arguments))
        if isinstance(answer, EXPECTED):
            raise answer
        return answer

    def _answer(self, request: Request) -> object:
        try:
            connection = self._connected()
            connection.send(request)
            return connection.recv()
        except (OSError, EOFError, AuthenticationError) as error:
            self._hang_up()
            raise Unavailable(self._sentence(error)) from None

    def _connected(self) -> Connection:
        if self._connection is not None and self._connection.poll():
            self._hang_up()  # nothing was asked, so what there is to read is the end: the engine was restarted
        if self._connection is None:
            self._connection = _connect(self._address, self._authkey, self._timeout_s)
        return self._connection

    def _sentence(self, error: Exception) -> str:
        late = isinstance(error, BlockingIOError)
        why = f"no answer in {self._timeout_s:g} s" if late else str(error) or "it hung up"
        host, port = self._address
        return f"the embedded index at {host}:{port} is away ({why}): start `lookstream up`, or see its log"

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _connect(address: Address, authkey: bytes, timeout_s: float) -> Connection:
    with socket.create_connection(address, timeout_s) as stream:
        stream.settimeout(None)
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            stream.setsockopt(socket.SOL_SOCKET, option, _timeval(timeout_s))
        connection = Connection(stream.detach())
    answer_challenge(connection, authkey)
    deliver_challenge(connection, authkey)
    return connection


def _timeval(seconds: float) -> bytes:
    """C's struct timeval: a read or write that takes longer ends with BlockingIOError."""
    return struct.pack("ll", int(seconds), int(seconds % 1 * 1_000_000))


def serve(folder: Path, address: Address, authkey: bytes, min_free: int = MIN_FREE) -> None:
    """Own the shard in `folder` and answer on `address` until SIGTERM or SIGINT: then flush, close and exit 0.

    To be called in the main thread of a process of its own. Writes are refused with less than `min_free` bytes of
    disk free. Raises IndexBusy when another process owns the folder or the port.
    """
    from infra.qdrant.shard import Shard  # the client above must not need qdrant-edge

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
