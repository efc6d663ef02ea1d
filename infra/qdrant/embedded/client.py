"""The embedded index, for its clients: one process owns the shard and answers all others over a Unix socket.

Each request is a method and its arguments, each answer a value or an error by its name (wire.py, channel.py).
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
    | {"same_bytes", "sample", "count", "take_note", "notes", "status", "optimise", "page", "flush"}
)
CONTRACT = (ValueError, EncoderDiffers, Unavailable)
"""What a method may raise by its contract."""
ERRORS: Mapping[str, type[Exception]] = {kind.__name__: kind for kind in (*CONTRACT, IndexDamaged, EngineError)}
"""The errors that travel, by name; a class comes before those that it is made of."""

HUNG_UP = (EOFError, ConnectionResetError, BrokenPipeError)
ATTEMPTS = 3
"""An engine that hands over may take one more connection before it ends, hence two more."""
MOST_DEATHS = 4
"""So many times in a row may the engine's process end over one request; then the request counts as the cause. While
it hands over it may end twice."""

Request = tuple[str, Sequence[object]]


class EmbeddedIndex:
    """An Index that asks the process of owner.serve; for any number of threads, one at a time.

    It connects when first asked, and again by itself after the engine's process was killed and restarted: to
    `address`, or to what it gives then. Asking twice is safe, since every write carries its condition.
    """

    def __init__(self, address: Address | Callable[[], Address], timeout_s: float = 10) -> None:
        self._find = address if callable(address) else lambda: address
        self._timeout_s = timeout_s
        self._channel: Channel | None = None
        self._lock = threading.Lock()
        self._deaths = _EngineDeaths()

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

    def search(self, plans: Sequence[SearchPlan]) -> list[list[ScoredPoint]]:
        """Best first for each plan, live points alone, one for each item."""
        found: list[list[ScoredPoint]] = self._ask("search", list(plans))
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
        """Ask again when it hangs up: then another process goes on with an optimised copy, or it was killed."""
        with self._lock:
            for left in reversed(range(ATTEMPTS)):
                channel = None
                try:
                    channel = self._connected()
                    answer = ask(channel, method, *arguments)
                except (OSError, EOFError, MalformedMessage) as error:
                    self._hang_up()
                    if channel is not None and isinstance(error, HUNG_UP):
                        self._deaths.count(method, arguments)
                    if not left or not isinstance(error, HUNG_UP):
                        raise Unavailable(self._sentence(error)) from None
                else:
                    self._deaths.note_answer(method, arguments)
                    return answer

    def _connected(self) -> Channel:
        if self._channel is not None and not self._channel.is_silent():
            self._hang_up()  # nothing was asked, so what there is to read is the end: the engine was restarted
        if self._channel is None:
            self._channel = connect(self._find(), self._timeout_s)
        return self._channel

    def _sentence(self, error: Exception) -> str:
        why = str(error) or "it hung up"
        if isinstance(error, TimeoutError):
            why = f"no answer in {self._timeout_s:g} s"
        elif isinstance(error, OSError):
            why = error.strerror or why
        return f"the embedded index at {self._find()} is away ({why}): start `lookstream up`, or see its log"

    def _hang_up(self) -> None:
        if self._channel is not None:
            self._channel.close()
            self._channel = None


class _EngineDeaths:
    """How often the engine's process has ended over the same request, without an answer to it between."""

    def __init__(self) -> None:
        self._request = b""
        self._count = 0

    def count(self, method: str, arguments: Sequence[object]) -> None:
        """It has ended over this request; raises EngineError when it always does."""
        request = _digest(method, arguments)
        self._count = self._count + 1 if request == self._request else 1
        self._request = request
        if self._count >= MOST_DEATHS:
            self._request, self._count = b"", 0
            raise EngineError(
                f"the process of the embedded index ends whenever it is to {method} this: see its log"
            )

    def note_answer(self, method: str, arguments: Sequence[object]) -> None:
        """A request was answered; those of others between two attempts say nothing of the one that is counted."""
        if self._request and self._request == _digest(method, arguments):
            self._request, self._count = b"", 0


def _digest(method: str, arguments: Sequence[object]) -> bytes:
    return hashlib.sha256(encode([method, arguments])).digest()


def ask(channel: Channel, method: str, *arguments: object) -> Any:
    """The answer to one request; raises what the method raises, and EOFError when the process ends.

    Whatever the engine has raised that no contract names is an EngineError.
    """
    channel.send([method, list(arguments)])
    answer = channel.receive()
    if isinstance(answer, ErrorAnswer):
        raise ERRORS.get(answer.name, EngineError)(answer.message)
    return answer
