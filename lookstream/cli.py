"""The `lookstream` command: mounts the commands of each room."""

from typing import Annotated

import typer

import consumers.operations.dead_letters.commands
import consumers.operations.images.commands
import consumers.operations.reindex.commands
import consumers.quality.evaluation.commands
import consumers.quality.fitting.commands
import consumers.workers.commands
import infra.capacity.commands
import infra.commands
import infra.kafka_admin.commands
import infra.local.commands
import infra.qdrant.commands
import producers.agents.commands
import producers.commands
import producers.demo.commands
import producers.gateway.commands
import producers.watches.commands
import schemas.commands

app = typer.Typer(
    name="lookstream",
    help="Event-driven visual search: find things by their look.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for folder in (
    infra.local,
    infra,
    infra.kafka_admin,
    infra.qdrant,
    infra.capacity,
    producers,
    producers.agents,
    producers.demo,
    producers.gateway,
    producers.watches,
    consumers.workers,
    consumers.operations.dead_letters,
    consumers.operations.images,
    consumers.quality.evaluation,
    consumers.quality.fitting,
    consumers.operations.reindex,
    schemas,
):
    app.add_typer(folder.commands.app)


def print_version(is_requested: object) -> None:
    """Print the versions and end, if `--version` is given."""
    if is_requested:
        from infra.observability.host_info import describe_program

        typer.echo(describe_program())
        raise typer.Exit


@app.callback()
def options(
    *,
    version: Annotated[
        bool,
        typer.Option("--version", callback=print_version, is_eager=True, help="Print version, commit and engines"),
    ] = False,
) -> None:
    """Event-driven visual search: find things by their look."""
