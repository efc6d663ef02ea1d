"""Owner process: own the folder and socket of the embedded index, and run a child that has the shard open.

When many points are outside the graph, the owner has the shard copied, optimises the copy in a low-priority child,
and starts a successor on the result. The successor replays the missed writes and then serves the same socket
(request_server.py, engine_process.py). Searches wait only for the replay of the last few writes; writes also wait
for the last pass of the copy.
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

from infra.processes.spawn import terminate
from infra.qdrant.contract import EngineError, IndexStatus
from infra.qdrant.embedded import children, damage, storage
from infra.qdrant.embedded.channel import Address, bind
from infra.qdrant.embedded.children import HANDED_OVER, NOTHING_TO_DO, EngineChild, EngineContext
from infra.qdrant.embedded.client import send_request
from infra.qdrant.embedded.optimise_policy import OptimisePolicy
from infra.retry import Retry
from schemas.failures import Unavailable

MIN_FREE = 256 << 20
"""Bytes of free disk that a write requires: twice the engine's write-ahead log, plus a margin."""
DISK_SPACE_FACTOR = 2.5
"""Temporary disk space of an optimisation, as a multiple of the shard size: a copy and its optimised form."""
CHECK_SECONDS, TICK_SECONDS = 2.0, 0.1
STOP_SECONDS = 30.0
"""Time for a child to end; a flush takes long on a slow disk."""
LOCK_SECONDS = 2.0
"""Time to wait for the lock: the children of a killed owner are killed too, and then release the folder."""

Result = TypeVar("Result")


class IndexBusy(Exception):
    """Another process owns the folder, or the socket cannot be created; the message names the remedy."""


def serve(folder: Path, address: Address, min_free: int = MIN_FREE, program: str = children.MODULE) -> None:
    """Own the index in `folder` and serve it at `address` until SIGTERM or SIGINT; then flush, close and exit 0.

    Call this in the main thread of a dedicated process. Writes are refused with less than `min_free` bytes of free
    disk. `program` is the module that the children run. Raises IndexBusy if another process owns the folder, or the
    socket cannot be created.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _sole_owner(folder), _bound_socket(address) as listener:
        storage.sweep(folder)
        context = EngineContext(
            str(folder.absolute()), listener.fileno(), str(address.absolute()), min_free, program
        )
        owner = IndexOwner(context)
        for signal_number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signal_number, _stop)
        try:
            owner.watch()
        finally:
            owner.stop()


class IndexOwner:
    """Runs the child that serves requests, and has the shard optimised when the policy requires it."""

    def __init__(self, context: EngineContext) -> None:
        self._context = context
        self._folder = Path(context.folder)
        self._policy = OptimisePolicy()
        self._log = structlog.get_logger()
        self._copy: Path | None = None
        self._optimiser: subprocess.Popen[bytes] | None = None
        self._successor: EngineChild | None = None
        self._engine: EngineChild | None = children.start_engine(children.ANSWER, context)

    def watch(self) -> NoReturn:
        """Monitor the children until the serving one dies; then exit with its exit code."""
        checked_at = time.monotonic()
        while True:
            time.sleep(TICK_SECONDS)
            self._check_engine()
            self._check_copy()
            if self._copy is None and time.monotonic() - checked_at >= CHECK_SECONDS:
                self._check_index()
                checked_at = time.monotonic()

    def stop(self) -> None:
        """End all children; the serving one flushes first."""
        if self._optimiser is not None:
            terminate(self._optimiser, signal.SIGKILL, STOP_SECONDS)
        if self._successor is not None:
            terminate(self._successor.process, signal.SIGKILL, STOP_SECONDS)
        if self._engine is not None:
            terminate(self._engine.process, signal.SIGTERM, STOP_SECONDS)

    def _check_engine(self) -> None:
        code = None if self._engine is None else self._engine.process.poll()
        if code is None:
            return
        self._engine, self._successor = self._successor, None
        if code != HANDED_OVER or self._engine is None:
            sys.exit(code if code in (0, damage.EXIT_CODE) else 1)
        self._copy = None
        storage.sweep(self._folder)
        self._log.info("index optimised", shard=storage.current_shard(self._folder).name)

    def _check_copy(self) -> None:
        if self._optimiser is not None and (code := self._optimiser.poll()) is not None:
            self._optimiser = None
            if code == 0 and self._copy is not None:
                self._successor = children.start_engine(children.SUCCEED, self._copy_context)
            else:
                self._handle_early_exit(code)
        elif self._successor is not None and (code := self._successor.process.poll()) is not None:
            self._successor = None
            self._handle_early_exit(code)

    @property
    def _copy_context(self) -> EngineContext:
        return replace(self._context, copy=str(self._copy or ""))

    def _check_index(self) -> None:
        try:
            status: IndexStatus = self._request("status")
        except (OSError, EOFError, Unavailable, EngineError):
            return  # the index does not exist yet, or the engine has died
        if self._policy.is_due(status, time.monotonic()):
            self._start_optimisation(status)

    def _start_optimisation(self, status: IndexStatus) -> None:
        """Start an optimisation: have the shard copied, and optimise the copy in a child."""
        folder, size = self._folder, status.bytes or 0
        if shutil.disk_usage(folder).free < DISK_SPACE_FACTOR * size + self._context.min_free:
            self._policy.record_failure(time.monotonic())
            self._log.warning(
                "index not optimised: not enough free disk space", needed_mb=round(DISK_SPACE_FACTOR * size / 1e6)
            )
            return
        copy = storage.next_copy(folder)
        storage.remove(copy)
        self._log.info("index optimisation started", points=status.live, unindexed=status.unindexed)
        self._copy = copy
        try:
            self._request("copy", str(copy))
        except (OSError, EOFError, Unavailable, EngineError) as error:
            self._abandon_copy(str(error) or "it closed the connection")
        else:
            self._optimiser = children.start(children.OPTIMISE, self._copy_context)

    def _handle_early_exit(self, code: int) -> None:
        if code == NOTHING_TO_DO:
            self._policy.record_nothing_to_do()
            self._discard_copy()
        else:
            self._abandon_copy(f"exit code {code}")

    def _abandon_copy(self, reason: str) -> None:
        self._policy.record_failure(time.monotonic())
        self._log.warning("index optimisation failed, the index stays as it is", reason=reason)
        self._discard_copy()

    def _discard_copy(self) -> None:
        """Delete the copy unless it has become the current shard, which the serving process knows."""
        try:
            self._request("forget_copy")
        except (OSError, EOFError, Unavailable, EngineError):
            return  # the engine has died, perhaps after handing over
        for path in (self._copy, self._copy and storage.journal_of(self._copy)):
            if path is not None:
                storage.remove(path)
        self._copy = None

    def _request(self, method: str, *arguments: object) -> Any:
        """Send a request to the serving process; raises EOFError immediately when it dies."""
        if self._engine is None:
            raise EOFError
        return send_request(self._engine.connection, method, *arguments)


def _stop(_number: int, _frame: FrameType | None) -> None:
    sys.exit(0)


@contextmanager
def _sole_owner(folder: Path) -> Iterator[None]:
    with (folder / "lock").open("a") as lock:
        try:
            _with_retries(partial(fcntl.flock, lock, fcntl.LOCK_EX | fcntl.LOCK_NB))
        except BlockingIOError:
            raise IndexBusy(
                f"another process owns the index in {folder}: stop it, or choose another LOOKSTREAM_DATA folder"
            ) from None
        yield


@contextmanager
def _bound_socket(address: Address) -> Iterator[socket.socket]:
    """Bind a socket to this address, and remove it afterwards."""
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


def _with_retries(attempt: Callable[[], Result]) -> Result:
    """Retry for LOCK_SECONDS, until the children of a killed owner have released the folder."""
    return Retry(LOCK_SECONDS, first_pause=TICK_SECONDS, max_pause=TICK_SECONDS).run(attempt, OSError)
