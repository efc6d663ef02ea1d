"""The desk of the process that has the shard open: it answers all others, and hands over to a successor.

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
from multiprocessing import AuthenticationError
from multiprocessing.connection import Connection, answer_challenge, deliver_challenge
from pathlib import Path

from infra.qdrant.embedded import EXPECTED, METHODS, Request
from infra.qdrant.folder import journal_of, make_current, mirror
from infra.qdrant.journal import Journal
from infra.qdrant.plan import IndexStatus
from infra.qdrant.shard import Shard
from schemas.failures import Unavailable

NOTED = frozenset({"upsert", "patch", "remove", "collect_tombstones", "take_note"})
"""What a copy must replay."""
WRITES = NOTED | {"open"}
"""What changes files, and so waits while they are copied."""
REST_SECONDS = 2.0
"""Nobody has asked for so long: then is the time to flush, which nothing else can be done beside."""
MOST_LOG = 256 << 20
"""Bytes of log after which it is flushed whoever asks: loading replays the log, 10,000 points a second."""
HANDED_OVER = 7
"""Exit code of a process whose successor goes on."""


class Desk:
    """Answers connections, each in a thread of its own; the shard does one thing at a time."""

    def __init__(self, shard: Shard, path: Path, authkey: bytes, *, wanted: bool = False) -> None:
        self._shard = shard
        self._path = path
        self._authkey = authkey
        self._writing = threading.Lock()
        self._engine = threading.Lock()
        self._journal: Journal | None = None
        self._wanted = wanted
        """Whether somebody has asked for everything to be in the graph since it was copied last."""
        self._asked = time.monotonic()
        self._flushed = True

    def welcome(self, listener: socket.socket, owner: Connection) -> None:
        """Take connections for ever; `owner` is one that needs no key."""
        for work in (self._tidy_up, partial(self._answer_all, owner)):
            threading.Thread(target=work, daemon=True).start()
        while True:
            threading.Thread(target=self.attend, args=(listener.accept()[0],), daemon=True).start()

    def attend(self, stream: socket.socket) -> None:
        """Answers one client until it hangs up; a failure outside the contract hangs up, with its trace."""
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with Connection(stream.detach()) as connection, suppress(OSError, EOFError, AuthenticationError):
            deliver_challenge(connection, self._authkey)
            answer_challenge(connection, self._authkey)
            self._answer_all(connection)

    def close(self) -> None:
        """Waits for what is being done, then flushes; the locks are kept, so that nothing follows."""
        self._writing.acquire()
        self._engine.acquire()
        self._shard.close()

    def _answer_all(self, connection: Connection) -> None:
        with ExitStack() as held, suppress(OSError, EOFError):
            while True:
                connection.send(self._done(connection.recv(), held))

    def _done(self, request: Request, held: ExitStack) -> object:
        method, arguments = request
        try:
            return self._answer(method, arguments, held)
        except EXPECTED as error:
            return error
        except OSError as error:
            return Unavailable(f"the embedded index could not {method}: {error}")

    def _answer(self, method: str, arguments: tuple[object, ...], held: ExitStack) -> object:
        match method:
            case "copy":
                self._copy(Path(str(arguments[0])))
            case "forget_copy":
                self._forget_copy()
            case "hand_over":
                return self._hand_over(held)
            case "take_over":
                self._take_over(Path(str(arguments[0])))
            case "optimise":
                self._wanted = True
            case "status":
                return self._status()
            case "flush":
                self._sync()
            case _ if method in METHODS:
                return self._carry_out(method, arguments)
            case _:
                raise ValueError(f"an index has no method {method[:40]!r}")
        return None

    def _carry_out(self, method: str, arguments: tuple[object, ...]) -> object:
        self._asked = time.monotonic()
        with self._writes() if method in WRITES else self._engine:
            answer: object = getattr(self._shard, method)(*arguments)
            if self._journal is not None and method in NOTED:
                self._journal.note((method, arguments))
            return answer

    @contextmanager
    def _writes(self) -> Iterator[None]:
        with self._writing, self._engine:
            yield

    def _sync(self) -> None:
        """Makes what was written survive a power loss; searches go on."""
        with self._writing:
            self._flushed = False
            log = self._shard.sync()
        if log > MOST_LOG:
            self._flush()

    def _flush(self) -> None:
        with self._writes():
            self._shard.flush()
            self._flushed = True

    def _tidy_up(self) -> None:
        """Flushes for ever, whenever nobody asks for anything."""
        while True:
            time.sleep(REST_SECONDS / 2)
            if not self._flushed and time.monotonic() - self._asked > REST_SECONDS:
                self._flush()

    def _status(self) -> IndexStatus:
        with self._engine:
            status = self._shard.status()
        return replace(status, optimising=self._journal is not None, wanted=self._wanted)

    def _copy(self, copy: Path) -> None:
        """Copies the shard while searches go on; from then on writes are noted for the copy.

        Writes wait for the second look alone, at what the first has copied already.
        """
        mirror(self._path, copy)
        with self._writing:
            self._forget()
            mirror(self._path, copy)
            self._journal, self._wanted = Journal(journal_of(copy)), False

    def _forget_copy(self) -> None:
        with self._writing:
            self._forget()

    def _forget(self) -> None:
        if self._journal is not None:
            self._journal.close()
            self._journal = None

    def _hand_over(self, held: ExitStack) -> bool:
        """Answers nobody else from now on, unless this client hangs up; whether optimising is wanted again."""
        held.enter_context(self._writes())
        return self._wanted

    def _take_over(self, copy: Path) -> None:
        """Ends this process for good."""
        if not self._engine.locked() or self._journal is None:
            raise ValueError("a copy takes over after `hand_over`, and only while it is not forgotten")
        make_current(copy)
        os._exit(HANDED_OVER)
