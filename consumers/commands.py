"""Commands of consumers: the workers and the dead letters."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from consumers.dead_letters import DeadLetter
    from consumers.worker import Stop, Worker
    from infra.settings import Settings

    Build = Callable[[Settings, Path | None], AbstractContextManager[Worker]]

app = typer.Typer()
worker = typer.Typer(help="The workers; `lookstream up` runs one of each.", no_args_is_help=True)
dead_letters = typer.Typer(help="Records that were refused, whole, with the reason.", no_args_is_help=True)
app.add_typer(worker, name="worker")
app.add_typer(dead_letters, name="dead-letters")

HOPELESS = 3
"""Exit code of a worker that no restart will mend: the encoder is missing, or not the index's own."""

HeartbeatFile = Annotated[Path | None, typer.Option(help="File to touch each turn, for health checks")]


@worker.command("index")
def index(heartbeat: HeartbeatFile = None) -> None:
    """Take item events, look at their pictures, and put them into the index."""
    from consumers.compose import index_worker

    _work("index", index_worker, heartbeat)


@worker.command("query")
def query(heartbeat: HeartbeatFile = None) -> None:
    """Take search requests and answer them."""
    from consumers.compose import query_worker

    _work("query", query_worker, heartbeat)


@dead_letters.command("list")
def list_() -> None:
    """List the dead letters: those in Kafka, and those that earlier local runs left in the data folder."""
    from rich.console import Console
    from rich.table import Table

    from infra.console import plain_errors

    with plain_errors():
        table = Table("record", "code", "why")
        for letter in _all_dead_letters():
            table.add_row(letter.position, letter.code, letter.message)
        Console().print(table if table.row_count else "no dead letters")


@dead_letters.command("save", hidden=True)
def save() -> None:
    """Keep the dead letters of the local broker in a file, since it forgets them; `up` runs this as it stops."""
    from consumers.dead_letters import append, read_topics
    from infra.console import plain_errors
    from infra.running import reach_kafka
    from infra.settings import read_settings

    with plain_errors():
        settings = read_settings()
        kept = append(settings.data / "dead-letters.jsonl", read_topics(reach_kafka(settings)))
        if kept:
            typer.echo(f"kept {kept} dead letters in {settings.data / 'dead-letters.jsonl'}", err=True)


def _work(part: str, build: "Build", heartbeat: Path | None) -> None:
    """Build a worker and run it until a signal stops it."""
    from consumers.worker import Stop
    from infra.console import complain, plain_errors
    from infra.encoder import EncoderUnavailable
    from infra.logs import configure_logs
    from infra.qdrant.plan import EncoderDiffers
    from infra.settings import read_settings

    stop = Stop()
    _listen(stop)
    try:
        with plain_errors():
            settings = read_settings()
            configure_logs(settings.logs, part)
            with build(settings, heartbeat) as worker:
                worker.run(stop)
    except (EncoderDiffers, EncoderUnavailable) as error:
        complain(str(error))
        raise typer.Exit(HOPELESS) from None


def _listen(stop: "Stop") -> None:
    """SIGTERM and Ctrl-C finish the batch in hand, a second one ends at once; SIGUSR1 drains, then ends."""
    import os
    import signal

    def now(_number: int, _frame: object) -> None:
        if stop.now:
            os._exit(1)
        stop.now = True

    def when_idle(_number: int, _frame: object) -> None:
        stop.when_idle = True

    signal.signal(signal.SIGTERM, now)
    signal.signal(signal.SIGINT, now)
    signal.signal(signal.SIGUSR1, when_idle)


def _all_dead_letters() -> "list[DeadLetter]":
    from consumers.dead_letters import read_file, read_topics
    from infra.running import reach_kafka
    from infra.settings import read_settings
    from schemas.failures import Unavailable

    settings = read_settings()
    kept = read_file(settings.data / "dead-letters.jsonl")
    try:
        return kept + list(read_topics(reach_kafka(settings)))
    except Unavailable:
        if settings.kafka.bootstrap or not kept:
            raise
        return kept
