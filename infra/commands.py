"""Commands of infra: run everything here, show the settings, create the topics, own the embedded index."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()
topics = typer.Typer(help="The Kafka topics.", no_args_is_help=True)
app.add_typer(topics, name="topics")


@app.command()
def up() -> None:
    """Run the whole system here: broker and embedded index unless yours are set, index worker, query worker."""
    import os

    from infra.console import plain_errors
    from infra.logs import configure_logs
    from infra.running import AlreadyUp
    from infra.settings import read_settings
    from infra.supervisor import ChildFailed
    from infra.up import LocalPartMissing, Up

    with plain_errors(AlreadyUp, ChildFailed, LocalPartMissing):
        settings = read_settings()
        configure_logs(settings.logs, "up")
        Up(settings, os.environ, lambda text: typer.echo(text, err=True)).run()


@app.command()
def config() -> None:
    """Show every setting with its variable, its value and what it means; secrets are masked."""
    from rich.console import Console
    from rich.table import Column, Table

    from infra.console import plain_errors
    from infra.settings import describe_settings, read_settings

    with plain_errors():
        console = Console(width=None if sys.stdout.isatty() else 160)
        table = Table(Column("variable", no_wrap=True), Column("value", overflow="fold"), "what it means")
        for setting in describe_settings(read_settings()):
            table.add_row(setting.variable, setting.value, setting.meaning)
        console.print(table)


@app.command(hidden=True)
def embedded_index(port: Annotated[int, typer.Option(help="Port of the loopback interface")]) -> None:
    """Own the embedded index and answer the workers; `lookstream up` runs this."""
    from infra.console import plain_errors
    from infra.logs import configure_logs
    from infra.qdrant.embedded import IndexBusy, serve
    from infra.running import index_key
    from infra.settings import read_settings
    from infra.supervisor import LOOPBACK

    with plain_errors(IndexBusy):
        settings = read_settings()
        configure_logs(settings.logs, "index")
        serve(settings.data / "index", (LOOPBACK, port), index_key(settings.data))


@topics.command("create")
def create() -> None:
    """Create the topics that do not exist yet."""
    from infra.console import plain_errors
    from infra.kafka import create_topics
    from infra.running import reach_kafka
    from infra.settings import read_settings
    from schemas.topics import all_topics

    with plain_errors():
        created = create_topics(reach_kafka(read_settings()), all_topics())
        typer.echo(f"created {len(created)} topics: {', '.join(created)}" if created else "all topics exist")


@app.command()
def health(
    heartbeat: Annotated[Path, typer.Argument(help="Heartbeat file of a worker")],
    within: Annotated[float, typer.Option(help="Seconds that a beat may be old")] = 30.0,
) -> None:
    """Exit 0 when a worker's heartbeat is fresh, 1 when it is not."""
    from infra.health import is_alive

    alive = is_alive(heartbeat, within)
    typer.echo(json.dumps({"alive": alive}))
    raise typer.Exit(0 if alive else 1)
