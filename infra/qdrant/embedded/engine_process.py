"""The children of the owner of the embedded index: one answers, others prepare the one that is next.

`python -m infra.qdrant.embedded.engine_process WORK SEAT`, where SEAT is JSON (Seat).
"""

import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FrameType

from infra.config.settings import read_settings
from infra.console import FAILED, complain
from infra.observability.logging import configure_logs
from infra.observability.redaction import redaction
from infra.qdrant.contract import EngineError
from infra.qdrant.embedded.channel import Channel, connect
from infra.qdrant.embedded.children import ANSWER, NOTHING_TO_DO, OPTIMISE, SUCCEED, EngineContext
from infra.qdrant.embedded.client import Request, ask
from infra.qdrant.embedded.damage import EXIT_CODE, IndexDamaged, noting
from infra.qdrant.embedded.request_server import RequestServer
from infra.qdrant.embedded.shard import Shard
from infra.qdrant.embedded.shard_files import optimise
from infra.qdrant.embedded.storage import current, journal_of
from infra.qdrant.embedded.write_journal import JournalReader

PATIENCE_SECONDS = 60.0
"""How long the process that answers may take to copy a shard, or to finish what it does."""
NICE = 15
CAUGHT_UP = 16
"""Requests that may be left to replay when everybody else is made to wait."""


def main(words: Sequence[str]) -> None:
    """Do the work that the first word names."""
    settings = read_settings()
    configure_logs(settings.logs, "index", redaction(settings))
    _end_with_any_thread()
    seat = EngineContext.of(words[1])
    works: Mapping[str, Callable[[EngineContext], None]] = {
        ANSWER: answer,
        OPTIMISE: lambda given: optimise_copy(Path(given.copy)),
        SUCCEED: succeed,
    }
    try:
        works[words[0]](seat)
    except EngineError as error:
        complain(str(error))
        sys.exit(EXIT_CODE if isinstance(error, IndexDamaged) else FAILED)


def answer(seat: EngineContext) -> None:
    """Open the shard that counts, and answer the owner and all clients until SIGTERM."""
    folder = Path(seat.folder)
    with noting(folder):
        path = current(folder)
        shard = Shard(folder, seat.min_free, path)
    _serve(shard, path, seat)


def optimise_copy(copy: Path) -> None:
    """Optimise a copy in the background."""
    os.nice(NICE)
    sys.exit(None if optimise(copy) else NOTHING_TO_DO)


def succeed(seat: EngineContext) -> None:
    """Open an optimised copy, replay what was written meanwhile, take over, and then do as `answer` does."""
    folder, copy = Path(seat.folder), Path(seat.copy)
    shard, journal = Shard(folder, seat.min_free, copy), JournalReader(journal_of(copy))

    def replay(request: Request) -> None:
        method, arguments = request
        getattr(shard, method)(*arguments)

    while journal.replay(replay) > CAUGHT_UP:
        shard.flush()
    with connect(Path(seat.address), PATIENCE_SECONDS) as channel:
        requested = bool(ask(channel, "hand_over"))
        journal.replay(replay)
        shard.sync()
        _take_over(channel, copy, folder)
    journal.close()
    journal_of(copy).unlink(missing_ok=True)  # the owner tidies up in the same moment
    _serve(shard, copy, seat, optimise_requested=requested)


def _take_over(channel: Channel, copy: Path, folder: Path) -> None:
    try:
        ask(channel, "take_over", str(copy))
    except (EOFError, OSError):
        if current(folder) != copy:
            raise  # it has died of something else, and its shard counts


def _serve(shard: Shard, path: Path, seat: EngineContext, *, optimise_requested: bool = False) -> None:
    server = RequestServer(shard, path, optimise_requested=optimise_requested)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)
    try:
        server.serve(socket.socket(fileno=seat.listener), Channel(socket.socket(fileno=seat.line)))
    finally:
        server.close()


def _end_with_any_thread() -> None:
    """The process ends, with the trace, when any of its threads dies: nobody else would notice."""
    show = threading.excepthook

    def end(death: threading.ExceptHookArgs) -> None:
        show(death)
        sys.stderr.flush()
        os._exit(1)

    threading.excepthook = end


def _stop(_number: int, _frame: FrameType | None) -> None:
    sys.exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
