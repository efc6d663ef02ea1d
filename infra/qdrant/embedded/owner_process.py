"""The process that owns the embedded index: it holds folder and socket, and keeps a child that has the shard open.

When many points are outside the graph, it has the shard copied, the copy optimised in a child of low priority, and
a successor started on the result, which catches up and then answers at the same socket (request_server.py,
engine_process.py). Searches wait for the last few writes to be replayed, writes for the copying besides.
"""

import fcntl
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn, TypeVar

import structlog

from infra.processes.spawn import end
from infra.qdrant.contract import EngineError, IndexStatus
from infra.qdrant.embedded import children, damage
from infra.qdrant.embedded import storage as place
from infra.qdrant.embedded.channel import Address, bind
from infra.qdrant.embedded.children import HANDED_OVER, NOTHING_TO_DO, EngineChild, EngineContext
from infra.qdrant.embedded.client import ask
from infra.qdrant.embedded.optimise_policy import OptimisePolicy
from infra.retry import Retry
from schemas.failures import Unavailable

MIN_FREE = 256 << 20
"""Bytes of disk that must be free for a write: twice the engine's write-ahead log, with some room."""
ROOM = 2.5
"""A copy and what optimising makes of it take so many times the shard, for a while."""
LOOK_SECONDS, TICK_SECONDS = 2.0, 0.1
STOP_SECONDS = 30.0
"""For a flush, on a slow disk."""
LOCK_SECONDS = 2.0
"""The children of an owner that was killed are killed too, and then let go of the folder."""


Result = TypeVar("Result")


class IndexBusy(Exception):
    """Another process owns the folder, or has no room for its socket; the message names it and the remedy."""


def serve(folder: Path, address: Address, min_free: int = MIN_FREE, program: str = children.MODULE) -> None:
    """Own the index in `folder` and answer on `address` until SIGTERM or SIGINT: then flush, close and exit 0.

    To be called in the main thread of a process of its own. Writes are refused with less than `min_free` bytes of
    disk free. `program` is the module that the children run. Raises IndexBusy when another process owns the folder,
    or the socket cannot be made.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _sole_owner(folder), _bound(address) as listener:
        place.sweep(folder)
        seat = EngineContext(str(folder.absolute()), listener.fileno(), str(address.absolute()), min_free, program)
        owner = IndexOwner(seat)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _stop)
        try:
            owner.watch()
        finally:
            owner.stop()


class IndexOwner:
    """Keeps a child that answers, and has the shard optimised when that is due."""

    def __init__(self, seat: EngineContext) -> None:
        self._seat = seat
        self._folder = Path(seat.folder)
        self._upkeep = OptimisePolicy()
        self._log = structlog.get_logger()
        self._copy: Path | None = None
        self._optimiser: subprocess.Popen[bytes] | None = None
        self._successor: EngineChild | None = None
        self._engine: EngineChild | None = children.start_engine(children.ANSWER, seat)

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
            end(self._optimiser, signal.SIGKILL, STOP_SECONDS)
        if self._successor is not None:
            end(self._successor.process, signal.SIGKILL, STOP_SECONDS)
        if self._engine is not None:
            end(self._engine.process, signal.SIGTERM, STOP_SECONDS)

    def _look_after_engine(self) -> None:
        code = None if self._engine is None else self._engine.process.poll()
        if code is None:
            return
        self._engine, self._successor = self._successor, None
        if code != HANDED_OVER or self._engine is None:
            sys.exit(code if code in (0, damage.EXIT_CODE) else 1)
        self._copy = None
        place.sweep(self._folder)
        self._log.info("optimised", shard=place.current(self._folder).name)

    def _look_after_copy(self) -> None:
        if self._optimiser is not None and (code := self._optimiser.poll()) is not None:
            self._optimiser = None
            if code == 0 and self._copy is not None:
                self._successor = children.start_engine(children.SUCCEED, self._copying)
            else:
                self._ended_early(code)
        elif self._successor is not None and (code := self._successor.process.poll()) is not None:
            self._successor = None
            self._ended_early(code)

    @property
    def _copying(self) -> EngineContext:
        """The seat of a child that works on the copy."""
        return replace(self._seat, copy=str(self._copy or ""))

    def _look_at_index(self) -> None:
        try:
            status: IndexStatus = self._ask("status")
        except (OSError, EOFError, Unavailable, EngineError):
            return  # nobody has made it yet, or it has died
        if self._upkeep.is_due(status, time.monotonic()):
            self._begin(status)

    def _begin(self, status: IndexStatus) -> None:
        """Have the shard copied, and optimise the copy."""
        folder, size = self._folder, status.bytes or 0
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
        except (OSError, EOFError, Unavailable, EngineError) as error:
            self._give_up(str(error) or "it hung up")
        else:
            self._optimiser = children.start(children.OPTIMISE, self._copying)

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
        except (OSError, EOFError, Unavailable, EngineError):
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


@contextmanager
def _bound(address: Address) -> Iterator[socket.socket]:
    """A socket at this address, which is gone afterwards."""
    try:
        listener = bind(address)
    except OSError as error:
        raise IndexBusy(
            f"the index cannot have a socket at {address} ({error.strerror or error}): choose another "
            "LOOKSTREAM_DATA folder, on a local disk and with a path of less than 80 letters"
        ) from None
    with listener:
        try:
            yield listener
        finally:
            with suppress(OSError):
                address.unlink()


def _patiently(attempt: Callable[[], Result]) -> Result:
    """Try for LOCK_SECONDS, while the children of an owner that was killed let go."""
    return Retry(LOCK_SECONDS, first=TICK_SECONDS, longest=TICK_SECONDS).run(attempt, OSError)
