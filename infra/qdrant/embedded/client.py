"""Embedded client: the `Index` of a process that does not own the shard, over a Unix socket.

A request is a method and its arguments; an answer is a value or an error by name (wire.py, channel.py).
"""

import hashlib
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from infra.qdrant.contract import (
    EncoderDiffers,
    EngineError,
    FacetPlan,
    IndexStatus,
    Patch,
    Payload,
    Point,
    ScoredPoint,
    SearchPlan,
    Vector,
)
from infra.qdrant.embedded.channel import Address, Channel, connect
from infra.qdrant.embedded.damage import IndexDamaged
from infra.qdrant.embedded.wire import ErrorAnswer, MalformedMessage, encode
from schemas.failures import Unavailable

METHODS = frozenset(
    {"open", "payloads", "upsert", "patch", "remove", "collect_tombstones", "search", "facets", "vectors"}
    | {"find_by_checksum", "sample", "count", "put_note", "notes", "status", "optimise", "page", "flush"}
)
CONTRACT = (ValueError, EncoderDiffers, Unavailable)
"""The errors that the `Index` contract allows."""
ERRORS: Mapping[str, type[Exception]] = {kind.__name__: kind for kind in (*CONTRACT, IndexDamaged, EngineError)}
"""The errors that can be sent, by name; subclasses come before their base classes."""

HUNG_UP = (EOFError, ConnectionResetError, BrokenPipeError)
ATTEMPTS = 3
"""Attempts for a request. An engine that hands over may accept one more connection before it ends, hence three."""
MAX_ENGINE_DEATHS = 4
"""If the engine process dies this many times in a row during one request, that request is considered the cause.
During a hand-over the process may end twice."""

Request = tuple[str, Sequence[object]]


class EmbeddedIndex:
    """An Index that sends requests to the process of owner_process.serve. Thread-safe; requests run one at a time.

    It connects at the first request, and reconnects after the engine process was killed and restarted. `address`
    may be a function that returns the current address. Repeating a request is safe, because every write is
    conditional.
    """

    def __init__(self, address: Address | Callable[[], Address], timeout_s: float = 10) -> None:
        self._get_address = address if callable(address) else lambda: address
        self._timeout_s = timeout_s
        self._channel: Channel | None = None
        self._lock = threading.Lock()
        self._deaths = _EngineDeaths()

    def open(self, fingerprint: str, size: int) -> None:
        """Create the shard for vectors with `size` dimensions, or check it; raises EncoderDiffers."""
        self._request("open", fingerprint, size)

    def payloads(self, ids: Sequence[str], keys: Sequence[str]) -> dict[str, Payload]:
        """Return these payload keys of each existing point, including tombstones."""
        payloads: dict[str, Payload] = self._request("payloads", list(ids), list(keys))
        return payloads

    def upsert(self, points: Sequence[Point]) -> None:
        """Write points in order, grouped by version; raises ValueError if a vector is invalid."""
        self._request("upsert", list(points))

    def patch(self, patches: Sequence[Patch]) -> None:
        """Apply payload changes to live points, in order."""
        self._request("patch", list(patches))

    def remove(self, versions: Mapping[str, int]) -> None:
        """Delete points by id, each only if its stored version is lower."""
        self._request("remove", dict(versions))

    def collect_tombstones(self, before_us: int) -> int:
        """Delete tombstones from before this time; return their number."""
        count: int = self._request("collect_tombstones", before_us)
        return count

    def search(self, plans: Sequence[SearchPlan]) -> list[list[ScoredPoint]]:
        """Return the hits of each plan, best first: live points only, one per item."""
        hits: list[list[ScoredPoint]] = self._request("search", list(plans))
        return hits

    def facets(self, plans: Sequence[FacetPlan]) -> list[dict[str, int]]:
        """Return the item count of each value, for each plan."""
        counts: list[dict[str, int]] = self._request("facets", list(plans))
        return counts

    def vectors(self, ids: Sequence[str]) -> dict[str, Vector]:
        """Return the vector of each live point among these ids."""
        vectors: dict[str, Vector] = self._request("vectors", list(ids))
        return vectors

    def find_by_checksum(self, tenant: str, checksums: Sequence[str]) -> dict[str, Point]:
        """Return a live point of the tenant for each `sha256`, if a search of limited length finds one."""
        points: dict[str, Point] = self._request("find_by_checksum", tenant, list(checksums))
        return points

    def sample(self, tenant: str, limit: int) -> dict[str, Payload]:
        """Return SAMPLE_KEYS of up to `limit` live points of a tenant, the first by id."""
        sample: dict[str, Payload] = self._request("sample", tenant, limit)
        return sample

    def count(self, tenant: str | None = None) -> int:
        """Return the number of live points, in total or of one tenant."""
        count: int = self._request("count", tenant)
        return count

    def put_note(self, name: str, note: Payload) -> None:
        """Store a note; replaces an earlier note with this name."""
        self._request("put_note", name, dict(note))

    def notes(self, names: Sequence[str]) -> dict[str, Payload]:
        """Return the stored notes among these names."""
        notes: dict[str, Payload] = self._request("notes", list(names))
        return notes

    def status(self) -> IndexStatus:
        """Return the status of the index."""
        status: IndexStatus = self._request("status")
        return status

    def optimise(self) -> None:
        """Request that all points are added to the graph soon; the owner process does it."""
        self._request("optimise")

    def page(self, after: str | None, limit: int) -> tuple[list[Point], str | None]:
        """Return up to `limit` points by id, including tombstones, and the next `after`."""
        page: tuple[list[Point], str | None] = self._request("page", after, limit)
        return page

    def flush(self) -> None:
        """Make all writes durable against power loss; a killed process loses nothing even without this."""
        self._request("flush")

    def close(self) -> None:
        """Close the connection; the engine process continues to serve other clients."""
        with self._lock:
            self._hang_up()

    def _request(self, method: str, *arguments: object) -> Any:
        """Send a request; retry if the engine hangs up, after a hand-over to an optimised copy or after a kill."""
        with self._lock:
            for remaining in reversed(range(ATTEMPTS)):
                channel = None
                try:
                    channel = self._connection()
                    answer = send_request(channel, method, *arguments)
                except (OSError, EOFError, MalformedMessage) as error:
                    self._hang_up()
                    if channel is not None and isinstance(error, HUNG_UP):
                        self._deaths.record_death(method, arguments)
                    if not remaining or not isinstance(error, HUNG_UP):
                        raise Unavailable(self._message(error)) from None
                else:
                    self._deaths.record_answer(method, arguments)
                    return answer

    def _connection(self) -> Channel:
        if self._channel is not None and not self._channel.is_silent():
            self._hang_up()  # no request is open, so the input is end of file: the engine was restarted
        if self._channel is None:
            self._channel = connect(self._get_address(), self._timeout_s)
        return self._channel

    def _message(self, error: Exception) -> str:
        reason = str(error) or "it closed the connection"
        if isinstance(error, TimeoutError):
            reason = f"no answer in {self._timeout_s:g} s"
        elif isinstance(error, OSError):
            reason = error.strerror or reason
        return (
            f"the embedded index at {self._get_address()} cannot be reached ({reason}): "
            "start `lookstream up`, or see its log"
        )

    def _hang_up(self) -> None:
        if self._channel is not None:
            self._channel.close()
            self._channel = None


class _EngineDeaths:
    """Count consecutive deaths of the engine process during the same request, without an answer in between."""

    def __init__(self) -> None:
        self._failed_digest = b""
        self._count = 0

    def record_death(self, method: str, arguments: Sequence[object]) -> None:
        """Record a death during this request; raises EngineError after MAX_ENGINE_DEATHS of them."""
        digest = _request_digest(method, arguments)
        self._count = self._count + 1 if digest == self._failed_digest else 1
        self._failed_digest = digest
        if self._count >= MAX_ENGINE_DEATHS:
            self._failed_digest, self._count = b"", 0
            raise EngineError(
                f"the process of the embedded index ends at each `{method}` of this request: see its log"
            )

    def record_answer(self, method: str, arguments: Sequence[object]) -> None:
        """Record an answer. It resets the count only for the counted request, not for requests in between."""
        if self._failed_digest and self._failed_digest == _request_digest(method, arguments):
            self._failed_digest, self._count = b"", 0


def _request_digest(method: str, arguments: Sequence[object]) -> bytes:
    return hashlib.sha256(encode([method, arguments])).digest()


def send_request(channel: Channel, method: str, *arguments: object) -> Any:
    """Send one request and return its answer; raises the method's errors, and EOFError if the process ends.

    Engine errors that are not part of the contract are raised as EngineError.
    """
    channel.send([method, list(arguments)])
    answer = channel.receive()
    if isinstance(answer, ErrorAnswer):
        raise ERRORS.get(answer.name, EngineError)(answer.message)
    return answer
