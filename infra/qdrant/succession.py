"""The children of the process that owns the embedded index: one answers, others prepare the one that is next."""

import os
import signal
import socket
import sys
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType

from infra.qdrant.desk import Desk
from infra.qdrant.embedded import Request, ask, connect
from infra.qdrant.folder import current, journal_of
from infra.qdrant.journal import Reader
from infra.qdrant.shard import Shard
from infra.qdrant.shard_files import optimise

PATIENCE_SECONDS = 60.0
"""How long the process that answers may take to copy a shard, or to finish what it does."""
NICE = 15
NOTHING_TO_DO = 3
"""Exit code of an optimiser that found all as it should be."""
CAUGHT_UP = 16
"""Requests that may be left to replay when everybody else is made to wait."""


@dataclass(frozen=True)
class Seat:
    """What the processes of one embedded index share."""

    folder: Path
    listener: socket.socket
    authkey: bytes
    min_free: int

    def line(self) -> Connection:
        """A line to the process that answers."""
        return connect(self.listener.getsockname(), self.authkey, PATIENCE_SECONDS)


def answer(seat: Seat, owner: Connection) -> None:
    """Open the shard that counts, and answer `owner` and whoever comes to the port until SIGTERM."""
    path = current(seat.folder)
    _answer_with(Shard(seat.folder, seat.min_free, path), path, seat, owner)


def optimise_copy(copy: Path) -> None:
    """Optimise a copy in the background."""
    os.nice(NICE)
    sys.exit(None if optimise(copy) else NOTHING_TO_DO)


def succeed(seat: Seat, copy: Path, owner: Connection) -> None:
    """Open an optimised copy, replay what was written meanwhile, take over, and then do as `answer` does."""
    shard, journal = Shard(seat.folder, seat.min_free, copy), Reader(journal_of(copy))

    def carry_out(request: Request) -> None:
        method, arguments = request
        getattr(shard, method)(*arguments)

    while journal.replay(carry_out) > CAUGHT_UP:
        shard.flush()
    with seat.line() as line:
        wanted = bool(ask(line, "hand_over"))
        journal.replay(carry_out)
        shard.sync()
        _take_over(line, copy, seat)
    journal.close()
    journal_of(copy).unlink(missing_ok=True)  # the owner tidies up in the same moment
    _answer_with(shard, copy, seat, owner, wanted=wanted)


def _take_over(line: Connection, copy: Path, seat: Seat) -> None:
    try:
        ask(line, "take_over", str(copy))
    except (EOFError, OSError):
        if current(seat.folder) != copy:
            raise  # it has died of something else, and its shard counts


def _answer_with(shard: Shard, path: Path, seat: Seat, owner: Connection, *, wanted: bool = False) -> None:
    desk = Desk(shard, path, seat.authkey, wanted=wanted)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)
    try:
        desk.welcome(seat.listener, owner)
    finally:
        desk.close()


def _stop(_number: int, _frame: FrameType | None) -> None:
    sys.exit(0)
