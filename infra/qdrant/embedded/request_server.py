"""Request server: answer clients in the process that has the shard open, and hand over to a successor.

The successor has an optimised copy. It replays the writes since the copy was made, asks this process to stop
(`hand_over`), replays the remaining writes, and makes its copy the current shard (`take_over`). If any process dies
at any time, the current shard still holds all acknowledged writes: this process acknowledges nothing after
`hand_over` unless the successor dies before `take_over`.
"""

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import structlog

from infra.qdrant.contract import IndexStatus
from infra.qdrant.embedded.channel import Channel, peer_has_access
from infra.qdrant.embedded.children import HANDED_OVER
from infra.qdrant.embedded.client import CONTRACT, ERRORS, METHODS
from infra.qdrant.embedded.damage import IndexDamaged, engine_error
from infra.qdrant.embedded.shard import Shard
from infra.qdrant.embedded.storage import journal_of, make_current, mirror
from infra.qdrant.embedded.wire import ErrorAnswer, MalformedMessage
from infra.qdrant.embedded.write_journal import WriteJournal
from schemas.failures import Unavailable

LOGGED_WRITES = frozenset({"upsert", "patch", "remove", "collect_tombstones", "put_note"})
"""Methods that a copy must replay."""
WRITES = LOGGED_WRITES | {"open"}
"""Methods that change files and therefore wait while the files are copied."""
IDLE_SECONDS = 2.0
"""Time without requests after which to flush; a flush blocks all requests."""
MAX_LOG_BYTES = 256 << 20
"""Bytes of the log that force a flush, because loading replays the log at 10,000 points a second."""
BACKLOG = 128
LAST_ANSWER_SECONDS = 0.5
"""Time to send the last answer before a process with an unrecoverable error exits."""


class RequestServer:
    """Answers each connection in its own thread; the shard executes one call at a time."""

    def __init__(self, shard: Shard, path: Path, *, optimise_requested: bool = False) -> None:
        self._shard = shard
        self._path = path
        self._write_lock = threading.Lock()
        self._engine_lock = threading.Lock()
        self._journal: WriteJournal | None = None
        self._optimise_requested = optimise_requested
        """Whether a client has requested optimisation since the last copy."""
        self._damage: IndexDamaged | None = None
        """The last damage that was detected since the start."""
        self._last_request = time.monotonic()
        self._flushed = True
        self._log = structlog.get_logger()

    def serve(self, listener: socket.socket, owner: Channel) -> None:
        """Accept connections forever; `owner` is the existing connection to the owner process.

        The socket starts to listen here, so every client that can connect gets an answer.
        """
        for target in (self._flush_when_idle, partial(self._answer_all, owner)):
            threading.Thread(target=target, daemon=True).start()
        listener.listen(BACKLOG)
        while True:
            stream, _ = listener.accept()
            threading.Thread(target=self._serve_client, args=(stream,), daemon=True).start()

    def close(self) -> None:
        """Wait for running calls, then flush. The locks stay held, so that no call can follow."""
        self._write_lock.acquire()
        self._engine_lock.acquire()
        self._shard.close()

    def _serve_client(self, stream: socket.socket) -> None:
        """Answer one client until it closes the connection."""
        with Channel(stream) as channel:
            if peer_has_access(stream):
                self._answer_all(channel)
            else:
                self._log.warning("connection refused: the client runs as another user")

    def _answer_all(self, channel: Channel) -> None:
        with ExitStack() as locks, suppress(OSError, EOFError):
            while True:
                try:
                    request = channel.receive()
                    answer = self._answer(request, locks)
                except MalformedMessage as error:
                    self._log.warning("connection closed: the request is malformed", reason=str(error))
                    channel.send(ErrorAnswer("ValueError", f"the index cannot read the request: {error}"))
                    return
                self._reply(channel, answer)

    def _reply(self, channel: Channel, answer: object) -> None:
        try:
            channel.send(answer)
        except ValueError as error:  # too long, or not encodable; nothing was sent
            channel.send(ErrorAnswer("EngineError", str(error)))

    def _answer(self, request: object, locks: ExitStack) -> object:
        """Return the answer, or an ErrorAnswer for the client to raise; MalformedMessage on a bad request."""
        match request:
            case [str(method), [*arguments]]:
                pass
            case _:
                raise MalformedMessage("a request is a method and its arguments")
        try:
            with self._translate_errors(method):
                return self._dispatch(method, arguments, locks)
        except tuple(ERRORS.values()) as error:
            return ErrorAnswer(next(name for name, kind in ERRORS.items() if isinstance(error, kind)), str(error))

    @contextmanager
    def _translate_errors(self, method: str) -> Iterator[None]:
        """Convert every error to one that clients know; unexpected errors are logged with their traceback."""
        try:
            yield
        except CONTRACT:
            raise
        except OSError as error:
            raise Unavailable(f"the embedded index could not {method}: {error}") from error
        except BaseException as error:
            failure = engine_error(error, self._path.parent)
            self._log.error("index request failed", method=method, exc_info=error)
            if isinstance(failure, IndexDamaged):
                self._damage = failure
            if not isinstance(error, Exception):  # the engine panicked, so its state is unknown
                threading.Timer(LAST_ANSWER_SECONDS, os._exit, (1,)).start()
            raise failure from error

    def _dispatch(self, method: str, arguments: list[object], locks: ExitStack) -> object:
        match method, arguments:
            case "copy", [str(copy)]:
                self._copy(Path(copy))
            case "forget_copy", []:
                self._discard_copy()
            case "hand_over", []:
                return self._hand_over(locks)
            case "take_over", [str(copy)]:
                self._take_over(Path(copy))
            case "optimise", []:
                self._optimise_requested = True
            case "status", []:
                return self._status()
            case "flush", []:
                self._sync()
            case _ if method in METHODS:
                return self._call(method, arguments)
            case _:
                raise ValueError(f"an index has no method {method[:40]!r} of {len(arguments)} arguments")
        return None

    def _call(self, method: str, arguments: list[object]) -> object:
        self._last_request = time.monotonic()
        with self._exclusive() if method in WRITES else self._engine_lock:
            answer: object = getattr(self._shard, method)(*arguments)
            if self._journal is not None and method in LOGGED_WRITES:
                self._journal.append((method, arguments))
            return answer

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        with self._write_lock, self._engine_lock:
            yield

    def _sync(self) -> None:
        """Make all writes durable against power loss, without blocking searches."""
        with self._write_lock:
            self._flushed = False
            log_bytes = self._shard.sync()
        if log_bytes > MAX_LOG_BYTES:
            self._flush()

    def _flush(self) -> None:
        with self._exclusive():
            self._shard.flush()
            self._flushed = True

    def _flush_when_idle(self) -> None:
        """Flush after writes whenever the server is idle; runs forever."""
        while True:
            time.sleep(IDLE_SECONDS / 2)
            if not self._flushed and time.monotonic() - self._last_request > IDLE_SECONDS:
                self._flush()

    def _status(self) -> IndexStatus:
        if self._damage is not None:
            raise self._damage
        with self._engine_lock:
            status = self._shard.status()
        return replace(status, optimising=self._journal is not None, wanted=self._optimise_requested)

    def _copy(self, copy: Path) -> None:
        """Copy the shard without blocking searches; later writes are recorded in the copy's journal.

        Writes wait only for the second pass, which copies what has changed since the first.
        """
        mirror(self._path, copy)
        with self._write_lock:
            self._close_journal()
            mirror(self._path, copy)
            self._journal, self._optimise_requested = WriteJournal(journal_of(copy)), False

    def _discard_copy(self) -> None:
        with self._write_lock:
            self._close_journal()

    def _close_journal(self) -> None:
        if self._journal is not None:
            self._journal.close()
            self._journal = None

    def _hand_over(self, locks: ExitStack) -> bool:
        """Block all other clients until this one disconnects; return whether optimisation was requested again."""
        locks.enter_context(self._exclusive())
        return self._optimise_requested

    def _take_over(self, copy: Path) -> None:
        """Make the copy the current shard, and exit."""
        if not self._engine_lock.locked() or self._journal is None:
            raise ValueError("a copy takes over after `hand_over`, and only while it is not forgotten")
        make_current(copy)
        os._exit(HANDED_OVER)
