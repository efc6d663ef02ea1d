"""The `lookstream` command: mounts the commands of each room."""

import typer

import consumers.operations.dead_letters.commands
import consumers.operations.reindex.commands
import consumers.quality.evaluation.commands
import consumers.quality.fitting.commands
import consumers.workers.commands
import infra.commands
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
    infra,
    producers,
    producers.demo,
    producers.gateway,
    producers.watches,
    consumers.workers,
    consumers.operations.dead_letters,
    consumers.quality.evaluation,
    consumers.quality.fitting,
    consumers.operations.reindex,
    schemas,
):
    app.add_typer(folder.commands.app)
