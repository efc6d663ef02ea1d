"""Schema commands: export the contracts for other languages."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()
schemas = typer.Typer(help="The contracts of events and topics.", no_args_is_help=True)
app.add_typer(schemas, name="schemas")

FOLDER = Path(__file__).parent / "json"


@schemas.command("export")
def export(
    folder: Annotated[Path, typer.Option("--folder", "-o", help="Where to write them")] = FOLDER,
) -> None:
    """Write a JSON Schema for every event, and an AsyncAPI 3 document of the topics."""
    from schemas.export import write_contracts

    paths = write_contracts(folder)
    typer.echo(f"wrote {len(paths)} files to {folder}")
