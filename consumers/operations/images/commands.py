"""Image commands: `lookstream images sweep`."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from infra.config.errors import BadInput
from infra.console import command_options, error_console, format_count

if TYPE_CHECKING:
    from infra.config.settings import Settings
    from infra.fetching.content_store import ContentStore

app = typer.Typer()
images = typer.Typer(help="The pictures that lookstream keeps for the workers.", no_args_is_help=True)
app.add_typer(images, name="images")


@dataclass(frozen=True)
class SweepOptions:
    """Options of `images sweep`."""

    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would be removed, and remove nothing.")] = (
        False
    )


@images.command("sweep")
@command_options(SweepOptions)
def sweep(options: SweepOptions) -> None:
    """Remove pictures without a reference, and print them; the index worker does the same once a day."""
    from consumers.indexing.content_sweep import open_sweep
    from infra.config.settings import read_settings
    from infra.console import report_errors
    from infra.qdrant.contract import EngineError

    settings = read_settings()
    with (
        report_errors(EngineError, OSError),
        open_sweep(settings, _store(settings), is_dry_run=options.dry_run) as one,
    ):
        count = size = 0
        with error_console().status("sweeping"):
            for part in one.parts():
                for picture in part:
                    typer.echo(f"{picture.tenant}/{picture.sha256} {picture.size}")
                    count, size = count + 1, size + picture.size
    what = "would be removed" if options.dry_run else "removed"
    typer.echo(f"{format_count(count, 'picture', 'pictures')} {what}, {size / 1e6:.1f} MB", err=True)


def _store(settings: "Settings") -> "ContentStore":
    """The content store; raises BadInput if these settings have none."""
    from infra.fetching.content_store import open_content_store

    store = open_content_store(settings)
    if store is None:
        raise BadInput(
            "there is no content store: with LOOKSTREAM_KAFKA_BOOTSTRAP, pictures are kept only in the bucket of "
            "LOOKSTREAM_IMAGES_CONTENT_BUCKET"
        )
    return store
