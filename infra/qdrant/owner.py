"""The process that owns the embedded index: it holds folder and port, and keeps one child that has the shard open.

When many points are outside the graph, it has the shard copied, the copy optimised in a child of low priority, and
a successor started on the result, which catches up and then answers at the same port (desk.py, succession.py).
Searches wait for the last few writes to be replayed, writes for the copying besides.
"""

import fcntl
import shutil
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn, TypeVar

import structlog

from infra.forks import end, ended, fork
from infra.qdrant import folder as place
from infra.qdrant.desk import HANDED_OVER
from infra.qdrant.embedded import Address, ask
from infra.qdrant.plan import IndexStatus
from infra.qdrant.succession import NOTHING_TO_DO, Seat, answer, optimise_copy, succeed
from infra.qdrant.upkeep import Upkeep
from schemas.failures import Unavailable

MIN_FREE = 256 << 20
"""Bytes of disk that must be free for a write: twice the engine's write-ahead log, with some room."""
ROOM = 2.5
"""A copy and what optimising makes of it take so many times the shard, for a while."""
LOOK_SECONDS, TICK_SECONDS = 2.0, 0.1
LOCK_SECONDS = 2.0
"""The children of an owner that was killed are killed too, and then let go of the folder."""


Result = TypeVar("Result")


class IndexBusy(Exception):
    """Another process owns the folder or the port; the message names it and the remedy."""


def serve(folder: Path, address: Address, authkey: bytes, min_free: int = MIN_FREE) -> None:
    """Own the index in `folder` and answer on `address` until SIGTERM or SIGINT: then flush, close and exit 0.

    To be called in the main thread, the only one, of a process of its own. Writes are refused with less than
    `min_free` bytes of disk free. Raises IndexBusy when another process owns the folder or the port.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _sole_owner(folder), _listening(address) as listener:
        place.sweep(folder)
        owner = Owner(Seat(folder, listener, authkey, min_free))
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _stop)
        try:
            owner.watch()
        finally:
            owner.stop()


class Owner:
    """Keeps a child that answers, and has the shard optimised when that is due."""

    def __init__(self, seat: Seat) -> None:
        self._seat = seat
        self._upkeep = Upkeep()
        self._log = structlog.get_logger()
        self._copy: Path | None = None
        self._optimiser: int | None = None
        self._successor: Engine | None = None
        self._engine: Engine | None = _started(partial(answer, seat))

    def watch(self) -> NoReturn:
        """Look after the children until the one that answers has died: then exit likewise."""
        looked = time.monotonic()
        while True:
            time.sleep(TICK_SECONDS)
            self._look_after_engine()
            self._look_after_copy()
            if self._copy is None and time.monotonic() - looked >= LOOK_SECONDS:
                self._look_at_index()
                looked = time.monotonic()

    def stop(self) -> None:
        """End all children, the one that answers when it has flushed."""
        if self._optimiser is not None:
            end(self._optimiser, signal.SIGKILL)
        if self._successor is not None:
            end(self._successor.pid, signal.SIGKILL)
        if self._engine is not None:
            end(self._engine.pid, signal.SIGTERM)

    def _look_after_engine(self) -> None:
        code = None if self._engine is None else ended(self._engine.pid)
        if code is None:
            return
        self._engine, self._successor = self._successor, None
        if code != HANDED_OVER or self._engine is None:
            sys.exit(max(code, 0) if code in (0, 1) else 1)
        self._copy = None
        place.sweep(self._seat.folder)
        self._log.info("optimised", shard=place.current(self._seat.folder).name)

    def _look_after_copy(self) -> None:
        if self._optimiser is not None and (code := ended(self._optimiser)) is not None:
            self._optimiser = None
            if code == 0 and self._copy is not None:
                self._successor = _started(partial(succeed, self._seat, self._copy))
            else:
                self._ended_early(code)
        elif self._successor is not None and (code := ended(self._successor.pid)) is not None:
            self._successor = None
            self._ended_early(code)

    def _look_at_index(self) -> None:
        try:
            status: IndexStatus = self._ask("status")
        except (OSError, EOFError, Unavailable):
            return  # nobody has made it yet, or it has died
        if self._upkeep.is_due(status, time.monotonic()):
            self._begin(status)

    def _begin(self, status: IndexStatus) -> None:
        """Have the shard copied, and optimise the copy."""
        folder, size = self._seat.folder, status.bytes or 0
        if shutil.disk_usage(folder).free < ROOM * size + self._seat.min_free:
            self._upkeep.failed(time.monotonic())
            self._log.warning("not optimised: it takes more disk than is free", mb=round(ROOM * size / 1e6))
            return
        copy = place.next_copy(folder)
        place.remove(copy)
        self._log.info("optimising", points=status.live, outside_the_graph=status.unindexed)
        self._copy = copy
        try:
            self._ask("copy", str(copy))
        except (OSError, EOFError, Unavailable) as error:
            self._give_up(str(error) or "it hung up")
        else:
            self._optimiser = fork(partial(optimise_copy, copy))

    def _ended_early(self, code: int) -> None:
        if code == NOTHING_TO_DO:
            self._upkeep.was_in_vain()
            self._forget_copy()
        else:
            self._give_up(f"exit code {code}")

    def _give_up(self, why: str) -> None:
        self._upkeep.failed(time.monotonic())
        self._log.warning("optimising has failed, the index goes on as it was", why=why)
        self._forget_copy()

    def _forget_copy(self) -> None:
        """Remove the copy, unless it counts by now: the process that answers knows."""
        try:
            self._ask("forget_copy")
        except (OSError, EOFError, Unavailable):
            return  # it has died, perhaps after handing over
        for path in (self._copy, self._copy and place.journal_of(self._copy)):
            if path is not None:
                place.remove(path)
        self._copy = None

    def _ask(self, method: str, *arguments: object) -> Any:
        """The answer of the process that answers; raises EOFError at once when it dies."""
        if self._engine is None:
            raise EOFError
        return ask(self._engine.line, method, *arguments)


@dataclass(frozen=True)
class Engine:
    """A child that has a shard open, with a line to it that breaks when the child dies.

    A connection to the port would not: it waits there for whoever accepts it.
    """

    pid: int
    line: Connection


def _started(work: Callable[[Connection], None]) -> Engine:
    ours, theirs = Pipe()
    with theirs:
        return Engine(fork(partial(work, theirs)), ours)


def _stop(_number: int, _frame: FrameType | None) -> None:
    sys.exit(0)


@contextmanager
def _sole_owner(folder: Path) -> Iterator[None]:
    with (folder / "lock").open("a") as lock:
        try:
            _patiently(partial(fcntl.flock, lock, fcntl.LOCK_EX | fcntl.LOCK_NB))
        except BlockingIOError:
            raise IndexBusy(
                f"another process owns the index in {folder}: stop it, or choose another LOOKSTREAM_DATA folder"
            ) from None
        yield


def _listening(address: Address) -> socket.socket:
    try:
        return _patiently(partial(socket.create_server, address, backlog=128))
    except OSError as error:
        raise IndexBusy(
            f"the index cannot listen on {address[0]}:{address[1]} ({error.strerror}): choose another port"
        ) from None


def _patiently(attempt: Callable[[], Result]) -> Result:
    """Try for LOCK_SECONDS, while the children of an owner that was killed let go."""
    until = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            return attempt()
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(TICK_SECONDS)
