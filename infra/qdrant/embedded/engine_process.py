"""Engine process: a child of the index owner, which serves requests, optimises a copy, or takes over with it.

`python -m infra.qdrant.embedded.engine_process TASK CONTEXT`, where CONTEXT is JSON (children.EngineContext).
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
from infra.console import FAILED, print_error
from infra.observability.logging import configure_logs
from infra.observability.redaction import redaction
from infra.qdrant.contract import EngineError
from infra.qdrant.embedded.channel import Channel, connect
from infra.qdrant.embedded.children import ANSWER, NOTHING_TO_DO, OPTIMISE, SUCCEED, EngineContext
from infra.qdrant.embedded.client import Request, send_request
from infra.qdrant.embedded.damage import EXIT_CODE, IndexDamaged, record_damage
from infra.qdrant.embedded.request_server import RequestServer
from infra.qdrant.embedded.shard import Shard
from infra.qdrant.embedded.shard_files import optimise
from infra.qdrant.embedded.storage import current_shard, journal_of
from infra.qdrant.embedded.write_journal import JournalReader

HAND_OVER_TIMEOUT_SECONDS = 60.0
"""Timeout for the serving process to copy a shard or to finish its current request."""
NICE = 15
MAX_FINAL_REPLAY = 16
"""Maximum number of requests in the last replay before the hand-over, which blocks all other clients."""


def main(arguments: Sequence[str]) -> None:
    """Run the task that the first argument names."""
    settings = read_settings()
    configure_logs(settings.logs, "index", redaction(settings))
    _exit_on_thread_death()
    context = EngineContext.from_json(arguments[1])
    tasks: Mapping[str, Callable[[EngineContext], None]] = {
        ANSWER: answer,
        OPTIMISE: lambda context: optimise_copy(Path(context.copy)),
        SUCCEED: succeed,
    }
    try:
        tasks[arguments[0]](context)
    except EngineError as error:
        print_error(str(error))
        sys.exit(EXIT_CODE if isinstance(error, IndexDamaged) else FAILED)


def answer(context: EngineContext) -> None:
    """Open the current shard, and answer the owner and all clients until SIGTERM."""
    folder = Path(context.folder)
    with record_damage(folder):
        path = current_shard(folder)
        shard = Shard(folder, context.min_free, path)
    _serve(shard, path, context)


def optimise_copy(copy: Path) -> None:
    """Optimise a copy at low priority, and exit with NOTHING_TO_DO if it needed no optimisation."""
    os.nice(NICE)
    sys.exit(None if optimise(copy) else NOTHING_TO_DO)


def succeed(context: EngineContext) -> None:
    """Open an optimised copy, replay the writes since it was made, take over, then serve as `answer` does."""
    folder, copy = Path(context.folder), Path(context.copy)
    shard, journal = Shard(folder, context.min_free, copy), JournalReader(journal_of(copy))

    def replay(request: Request) -> None:
        method, arguments = request
        getattr(shard, method)(*arguments)

    while journal.replay(replay) > MAX_FINAL_REPLAY:
        shard.flush()
    with connect(Path(context.address), HAND_OVER_TIMEOUT_SECONDS) as channel:
        optimise_requested = bool(send_request(channel, "hand_over"))
        journal.replay(replay)
        shard.sync()
        _take_over(channel, copy, folder)
    journal.close()
    journal_of(copy).unlink(missing_ok=True)  # the owner may remove it at the same time
    _serve(shard, copy, context, optimise_requested=optimise_requested)


def _take_over(channel: Channel, copy: Path, folder: Path) -> None:
    try:
        send_request(channel, "take_over", str(copy))
    except (EOFError, OSError):
        if current_shard(folder) != copy:
            raise  # the process died for another reason, and its shard is still the current one


def _serve(shard: Shard, path: Path, context: EngineContext, *, optimise_requested: bool = False) -> None:
    server = RequestServer(shard, path, optimise_requested=optimise_requested)
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signal_number, _stop)
    try:
        server.serve(socket.socket(fileno=context.listener), Channel(socket.socket(fileno=context.line)))
    finally:
        server.close()


def _exit_on_thread_death() -> None:
    """Exit the process with a traceback when any of its threads dies, which would otherwise go unnoticed."""
    print_traceback = threading.excepthook

    def end(death: threading.ExceptHookArgs) -> None:
        print_traceback(death)
        sys.stderr.flush()
        os._exit(1)

    threading.excepthook = end


def _stop(_number: int, _frame: FrameType | None) -> None:
    sys.exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
