"""The embedded index, for those who ask: one process owns the shard and answers all others over a loopback socket.

Each request is a pickled (method, arguments), sent after both sides have proved that they know the same key.
"""

import socket
import struct
import threading
from collections.abc import Callable, Mapping, Sequence
from multiprocessing import AuthenticationError
from multiprocessing.connection import Connection, answer_challenge, deliver_challenge
from typing import Any

from infra.qdrant.plan import (
    EncoderDiffers,
    FacetPlan,
    Found,
    IndexStatus,
    Patch,
    Payload,
    Point,
    SearchPlan,
    Vector,
)
from schemas.failures import Unavailable

METHODS = frozenset(
    {"open", "payloads", "upsert", "patch", "remove", "collect_tombstones", "search", "facets", "vectors"}
    | {"same_bytes", "sample", "count", "take_note", "notes", "status", "optimise", "page", "flush"}
)
EXPECTED = (ValueError, EncoderDiffers, Unavailable)
"""What a method may raise by its contract; it travels back to the caller."""

HUNG_UP = (EOFError, ConnectionResetError, BrokenPipeError)
ATTEMPTS = 3
"""An engine that hands over may take one more connection before it ends, hence two more."""

Address = tuple[str, int]
Request = tuple[str, tuple[object, ...]]


class EmbeddedIndex:
    """An Index that asks the process of owner.serve; for any number of threads, one at a time.

    It connects when first asked, and again by itself after the engine's process was killed and restarted: to
    `address`, or to what it gives then. Asking twice is safe, since every write carries its condition.
    """

    def __init__(self, address: Address | Callable[[], Address], authkey: bytes, timeout_s: float = 10) -> None:
        self._find = address if callable(address) else lambda: address
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

    def facets(self, plans: Sequence[FacetPlan]) -> list[dict[str, int]]:
        """How many items there are of each value, for each plan."""
        counts: list[dict[str, int]] = self._ask("facets", list(plans))
        return counts

    def vectors(self, ids: Sequence[str]) -> dict[str, Vector]:
        """The vector of each live point that exists."""
        vectors: dict[str, Vector] = self._ask("vectors", list(ids))
        return vectors

    def same_bytes(self, tenant: str, checksums: Sequence[str]) -> dict[str, Point]:
        """For each `sha256` a live point of the tenant that has it, if one is soon found."""
        points: dict[str, Point] = self._ask("same_bytes", tenant, list(checksums))
        return points

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

    def notes(self, names: Sequence[str]) -> dict[str, Payload]:
        """The notes of these names that somebody took."""
        notes: dict[str, Payload] = self._ask("notes", list(names))
        return notes

    def status(self) -> IndexStatus:
        """How the index is."""
        status: IndexStatus = self._ask("status")
        return status

    def optimise(self) -> None:
        """Ask for all points to be in the graph soon; the engine's owner sees to it."""
        self._ask("optimise")

    def page(self, after: str | None, limit: int) -> tuple[list[Point], str | None]:
        """Up to `limit` points by id, tombstones included, and where to go on."""
        page: tuple[list[Point], str | None] = self._ask("page", after, limit)
        return page

    def flush(self) -> None:
        """Make what was written survive a power loss; a killed process loses nothing even without it."""
        self._ask("flush")

    def close(self) -> None:
        """Hang up; the engine's process goes on for others."""
        with self._lock:
            self._hang_up()

    def _ask(self, method: str, *arguments: object) -> Any:
        """Asks again when it hangs up on us: then another process goes on with an optimised copy."""
        with self._lock:
            for left in reversed(range(ATTEMPTS)):
                try:
                    return ask(self._connected(), method, *arguments)
                except (OSError, EOFError, AuthenticationError) as error:
                    self._hang_up()
                    if not left or not isinstance(error, HUNG_UP):
                        raise Unavailable(self._sentence(error)) from None

    def _connected(self) -> Connection:
        if self._connection is not None and self._connection.poll():
            self._hang_up()  # nothing was asked, so what there is to read is the end: the engine was restarted
        if self._connection is None:
            self._connection = connect(self._find(), self._authkey, self._timeout_s)
        return self._connection

    def _sentence(self, error: Exception) -> str:
        late = isinstance(error, BlockingIOError)
        why = f"no answer in {self._timeout_s:g} s" if late else str(error) or "it hung up"
        host, port = self._find()
        return f"the embedded index at {host}:{port} is away ({why}): start `lookstream up`, or see its log"

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def connect(address: Address, authkey: bytes, timeout_s: float) -> Connection:
    """A line to the engine's process, on which both sides have proved that they know the key.

    Whatever takes longer than `timeout_s` raises BlockingIOError.
    """
    with socket.create_connection(address, timeout_s) as stream:
        stream.settimeout(None)
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            stream.setsockopt(socket.SOL_SOCKET, option, _timeval(timeout_s))
        connection = Connection(stream.detach())
    answer_challenge(connection, authkey)
    deliver_challenge(connection, authkey)
    return connection


def ask(line: Connection, method: str, *arguments: object) -> Any:
    """The answer to one request; raises what the method raises, and EOFError when the process ends."""
    line.send((method, arguments))
    answer = line.recv()
    if isinstance(answer, EXPECTED):
        raise answer
    return answer


def _timeval(seconds: float) -> bytes:
    """C's struct timeval: a read or write that takes longer ends with BlockingIOError."""
    return struct.pack("ll", int(seconds), int(seconds % 1 * 1_000_000))
