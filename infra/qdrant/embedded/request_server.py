"""The request server of the process that has the shard open: it answers clients, and hands over to a successor.

The successor has an optimised copy. It replays what was written after the copy was taken, asks this process to stop
(`hand_over`), replays the rest, and has itself made the one that counts (`take_over`). Whatever dies at whatever
moment, the shard that counts holds all that was acknowledged: this process acknowledges nothing after `hand_over`
unless the successor has died before `take_over`.
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
from infra.qdrant.embedded.channel import Channel, peer_is_ours
from infra.qdrant.embedded.children import HANDED_OVER
from infra.qdrant.embedded.client import CONTRACT, ERRORS, METHODS
from infra.qdrant.embedded.damage import IndexDamaged, engine_error
from infra.qdrant.embedded.shard import Shard
from infra.qdrant.embedded.storage import journal_of, make_current, mirror
from infra.qdrant.embedded.wire import ErrorAnswer, MalformedMessage
from infra.qdrant.embedded.write_journal import WriteJournal
from schemas.failures import Unavailable

LOGGED_WRITES = frozenset({"upsert", "patch", "remove", "collect_tombstones", "take_note"})
"""What a copy must replay."""
WRITES = LOGGED_WRITES | {"open"}
"""What changes files, and so waits while they are copied."""
IDLE_SECONDS = 2.0
"""After so long without a request is the time to flush, which nothing else can be done beside."""
LONGEST_LOG = 256 << 20
"""Bytes of log after which it is flushed whoever asks: loading replays the log, 10,000 points a second."""
BACKLOG = 128
LAST_WORDS_SECONDS = 0.5
"""For the answer to leave before a process ends that cannot go on."""


class RequestServer:
    """Answers connections, each in a thread of its own; the shard does one thing at a time."""

    def __init__(self, shard: Shard, path: Path, *, optimise_requested: bool = False) -> None:
        self._shard = shard
        self._path = path
        self._writing = threading.Lock()
        self._engine = threading.Lock()
        self._journal: WriteJournal | None = None
        self._optimise_requested = optimise_requested
        """Whether somebody has asked for everything to be in the graph since it was copied last."""
        self._damage: IndexDamaged | None = None
        """What was seen of damaged files since the start."""
        self._last_request = time.monotonic()
        self._flushed = True
        self._log = structlog.get_logger()

    def serve(self, listener: socket.socket, owner: Channel) -> None:
        """Accept connections for ever; `owner` is one that is there already.

        The socket begins to listen here: who can connect gets an answer.
        """
        for work in (self._flush_when_idle, partial(self._answer_all, owner)):
            threading.Thread(target=work, daemon=True).start()
        listener.listen(BACKLOG)
        while True:
            stream, _ = listener.accept()
            threading.Thread(target=self._attend, args=(stream,), daemon=True).start()

    def close(self) -> None:
        """Wait for what is being done, then flush; the locks are held from then on, so that nothing follows."""
        self._writing.acquire()
        self._engine.acquire()
        self._shard.close()

    def _attend(self, stream: socket.socket) -> None:
        """Answer one client until it hangs up."""
        with Channel(stream) as channel:
            if peer_is_ours(stream):
                self._answer_all(channel)
            else:
                self._log.warning("connection refused: it comes from another user of this machine")

    def _answer_all(self, channel: Channel) -> None:
        with ExitStack() as held, suppress(OSError, EOFError):
            while True:
                try:
                    request = channel.receive()
                    answer = self._answer_to(request, held)
                except MalformedMessage as error:
                    self._log.warning("connection ended: its request cannot be read", why=str(error))
                    channel.send(ErrorAnswer("ValueError", f"the index cannot read the request: {error}"))
                    return
                self._reply(channel, answer)

    def _reply(self, channel: Channel, answer: object) -> None:
        try:
            channel.send(answer)
        except ValueError as error:  # it is too long, or holds what does not travel; nothing was sent
            channel.send(ErrorAnswer("EngineError", str(error)))

    def _answer_to(self, request: object, held: ExitStack) -> object:
        """The answer, or the error that the client is to raise; raises Malformed on what is no request."""
        match request:
            case [str(method), [*arguments]]:
                pass
            case _:
                raise MalformedMessage("a request is a method and its arguments")
        try:
            with self._translated(method):
                return self._dispatch(method, arguments, held)
        except tuple(ERRORS.values()) as error:
            return ErrorAnswer(next(name for name, kind in ERRORS.items() if isinstance(error, kind)), str(error))

    @contextmanager
    def _translated(self, method: str) -> Iterator[None]:
        """Turn every error into one that clients know; the log has the trace of those that nobody expected."""
        try:
            yield
        except CONTRACT:
            raise
        except OSError as error:
            raise Unavailable(f"the embedded index could not {method}: {error}") from error
        except BaseException as error:
            failure = engine_error(error, self._path.parent)
            self._log.error("a request failed", method=method, exc_info=error)
            if isinstance(failure, IndexDamaged):
                self._damage = failure
            if not isinstance(error, Exception):  # the engine has panicked: nobody knows in which state it is
                threading.Timer(LAST_WORDS_SECONDS, os._exit, (1,)).start()
            raise failure from error

    def _dispatch(self, method: str, arguments: list[object], held: ExitStack) -> object:
        match method, arguments:
            case "copy", [str(copy)]:
                self._copy(Path(copy))
            case "forget_copy", []:
                self._forget_copy()
            case "hand_over", []:
                return self._hand_over(held)
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
        with self._writes() if method in WRITES else self._engine:
            answer: object = getattr(self._shard, method)(*arguments)
            if self._journal is not None and method in LOGGED_WRITES:
                self._journal.note((method, arguments))
            return answer

    @contextmanager
    def _writes(self) -> Iterator[None]:
        with self._writing, self._engine:
            yield

    def _sync(self) -> None:
        """Make what was written survive a power loss; searches go on."""
        with self._writing:
            self._flushed = False
            log = self._shard.sync()
        if log > LONGEST_LOG:
            self._flush()

    def _flush(self) -> None:
        with self._writes():
            self._shard.flush()
            self._flushed = True

    def _flush_when_idle(self) -> None:
        """Flush for ever, whenever there are no requests."""
        while True:
            time.sleep(IDLE_SECONDS / 2)
            if not self._flushed and time.monotonic() - self._last_request > IDLE_SECONDS:
                self._flush()

    def _status(self) -> IndexStatus:
        if self._damage is not None:
            raise self._damage
        with self._engine:
            status = self._shard.status()
        return replace(status, optimising=self._journal is not None, wanted=self._optimise_requested)

    def _copy(self, copy: Path) -> None:
        """Copy the shard while searches go on; from then on writes go to the copy's journal.

        Writes wait for the second pass alone, over what the first has copied already.
        """
        mirror(self._path, copy)
        with self._writing:
            self._close_journal()
            mirror(self._path, copy)
            self._journal, self._optimise_requested = WriteJournal(journal_of(copy)), False

    def _forget_copy(self) -> None:
        with self._writing:
            self._close_journal()

    def _close_journal(self) -> None:
        if self._journal is not None:
            self._journal.close()
            self._journal = None

    def _hand_over(self, held: ExitStack) -> bool:
        """Answer nobody else from now on, unless this client hangs up; whether optimising was requested again."""
        held.enter_context(self._writes())
        return self._optimise_requested

    def _take_over(self, copy: Path) -> None:
        """End this process for good."""
        if not self._engine.locked() or self._journal is None:
            raise ValueError("a copy takes over after `hand_over`, and only while it is not forgotten")
        make_current(copy)
        os._exit(HANDED_OVER)
