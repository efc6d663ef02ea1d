"""Commands of the index: `lookstream index status | optimise | export | migrate`, and the process of its engine."""

import json
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from infra.config.errors import BadInput
from infra.console import FAILED, command_options, error_console, print_error
from infra.qdrant.point_ids import calibration_note

if TYPE_CHECKING:
    from infra.qdrant.contract import Index

app = typer.Typer()
index = typer.Typer(help="The index: show its status, optimise it, export it, copy it.", no_args_is_help=True)
app.add_typer(index, name="index")

POLL_SECONDS = 0.5
JSON = Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else.")]


@dataclass(frozen=True)
class IndexStatusOptions:
    """Options of `index status`."""

    tenant: Annotated[str, typer.Option(help="Tenant whose calibration is shown.")] = "default"
    json: JSON = False


@dataclass(frozen=True)
class OptimiseOptions:
    """Options of `index optimise`."""

    wait: Annotated[bool, typer.Option(help="Wait until the optimisation ends.")] = True


@dataclass(frozen=True)
class ExportOptions:
    """Options of `index export`."""

    file: Annotated[Path, typer.Argument(help="File to write; it must not exist.", show_default=False)]


@index.command("status")
@command_options(IndexStatusOptions)
def status(options: IndexStatusOptions) -> None:
    """Show the index: its encoder, its points, those outside the graph, and the calibration of a tenant."""
    name = calibration_note(options.tenant)
    with _index() as index:
        fields = asdict(index.status())
        summary = index.notes([name]).get(name, {}).get("summary", {})
    if options.json:
        typer.echo(json.dumps({**fields, "calibration": summary}))
        return
    for key, value in {**fields, **(summary if isinstance(summary, dict) else {})}.items():
        typer.echo(f"{key:15} {'-' if value is None else value}")


@index.command("optimise")
@command_options(OptimiseOptions)
def optimise(options: OptimiseOptions) -> None:
    """Bring all points into the graph; searches and writes continue. It also happens automatically."""
    with _index() as index:
        index.optimise()
        with error_console().status("optimising"):
            while options.wait and ((current := index.status()).wanted or current.optimising):
                time.sleep(POLL_SECONDS)
        current = index.status()
    typer.echo(f"{current.live + current.regions} points, {current.unindexed} outside the graph")


@index.command("export")
@command_options(ExportOptions)
def export(options: ExportOptions) -> None:
    """Write all points to a file, one JSON object a line: id, payload, vector (base64 of float32, little endian).

    The first line says which encoder made the vectors. Points that are written during the export may be missing.
    """
    from infra.qdrant.points_io import write_points

    if options.file.exists():
        raise BadInput(f"FILE: {options.file} exists already: name a file that does not")
    if not options.file.absolute().parent.is_dir():
        raise BadInput(f"FILE: there is no folder {options.file.absolute().parent}: make it first")
    with _index() as index:
        written = write_points(index, options.file, error_console())
    typer.echo(f"{written} points in {options.file}")


@index.command("migrate")
def migrate() -> None:
    """Copy the embedded index of a running `up` to the server of LOOKSTREAM_QDRANT_URL; safe to run again."""
    from infra.config.qdrant import QdrantSettings
    from infra.config.settings import read_settings
    from infra.console import report_errors
    from infra.qdrant.connect import connect
    from infra.qdrant.contract import EncoderDiffers, EngineError
    from infra.qdrant.points_io import copy_points

    with report_errors(EncoderDiffers, EngineError):
        settings = read_settings()
        if settings.qdrant.url is None:
            raise BadInput("set LOOKSTREAM_QDRANT_URL to the server that the points go to")
        embedded = settings.model_copy(update={"qdrant": QdrantSettings(timeout_s=settings.qdrant.timeout_s)})
        with closing(connect(embedded)) as source, closing(connect(settings)) as target:
            copied = copy_points(source, target, error_console())
            count = target.count()
    places = ", ".join(settings.qdrant.places)
    typer.echo(f"{copied} points were copied, tombstones included; {count} can be found at {places}")


@app.command(hidden=True)
def embedded_index(
    socket: Annotated[Path, typer.Option(help="Path of the socket")],
    generation: Annotated[int, typer.Option(help="Number of the index")] = 1,
) -> None:
    """Run the process of the embedded index; `lookstream up` starts it."""
    from infra.config.settings import read_settings
    from infra.console import report_errors
    from infra.local_state import restrict_permissions
    from infra.observability.logging import configure_logs
    from infra.observability.redaction import redaction
    from infra.qdrant.contract import EngineError
    from infra.qdrant.embedded.owner_process import IndexBusy, serve
    from infra.qdrant.generations import index_folder

    with report_errors(IndexBusy, EngineError):
        settings = read_settings()
        configure_logs(settings.logs, "index", redaction(settings))
        restrict_permissions(settings.data)
        serve(index_folder(settings.data, generation), socket)


@contextmanager
def _index() -> "Iterator[Index]":
    """Connect to the configured index; on EngineError, print its message and exit."""
    from infra.config.settings import read_settings
    from infra.qdrant.connect import connect
    from infra.qdrant.contract import EngineError

    try:
        with closing(connect(read_settings())) as index:
            yield index
    except EngineError as error:
        print_error(str(error))
        raise typer.Exit(FAILED) from None
