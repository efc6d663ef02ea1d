"""The command that keeps the pictures of a folder or a bucket in the index: `ingest pictures`."""

import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from infra.console import FAILED, complain, error_console, takes
from producers.cli_options import Tenant

if TYPE_CHECKING:
    from collections.abc import Callable

    from producers.image_sync.publish import ImagePublisher
    from producers.ingest import IngestTally

app = typer.Typer()

PAUSE_SECONDS = 0.1
"""Between two looks at whether Ctrl-C was pressed."""


@dataclass(frozen=True)
class PicturesOptions:
    """What `ingest pictures` is told."""

    place: Annotated[
        str,
        typer.Argument(
            metavar="FOLDER|NAME|s3://BUCKET/PREFIX",
            help="Where the pictures lie: a folder, whose pictures then travel inside the events; or a name of "
            "LOOKSTREAM_IMAGES_ROOTS or a bucket, where workers read them.",
            show_default=False,
        ),
    ]
    watch: Annotated[bool, typer.Option("--watch", help="Look again and again, until Ctrl-C.")] = False
    every: Annotated[float, typer.Option(min=0.5, max=86_400, help="Seconds from one look to the next.")] = 5
    categories: Annotated[
        bool, typer.Option("--categories", help="The folder that a picture lies in names its category.")
    ] = False
    source: Annotated[Literal["catalog", "social"], typer.Option(help="What the pictures are.")] = "catalog"
    let_go: Annotated[
        bool, typer.Option("--let-go", help="Take items out even when most pictures are gone at once.")
    ] = False
    tenant: Tenant = "default"


@app.command("pictures")
@takes(PicturesOptions)
def ingest_pictures(options: PicturesOptions) -> None:
    """Send the pictures of a folder or a bucket, each as an item; later, what has changed there since."""
    from infra.config.settings import read_settings
    from infra.kafka import EventSink, check_broker
    from infra.local_state import reach_kafka
    from infra.observability.tracing import SERVICE, tracing
    from producers.image_sync.locations import location_of
    from producers.image_sync.publish import ImagePublisher
    from producers.image_sync.scan import LocationScanner
    from producers.image_sync.state_db import open_sync_state
    from producers.ingest import ctrl_c_noted, tally_shown
    from producers.row_reader import check_defaults

    settings = read_settings()
    check_defaults(options.tenant)
    place = location_of(options.place, settings.images, options.tenant)
    watched = LocationScanner(place, options.tenant, options.source, options.categories, options.let_go)
    console, kafka = error_console(), reach_kafka(settings)
    check_broker(kafka)
    sink = EventSink(kafka)
    with (
        tracing(settings.traces, SERVICE) as sink.tracing,
        open_sync_state(settings.data / "watched", place.name, options.tenant) as known,
        ctrl_c_noted() as stopped,
        tally_shown(console) as show,
    ):
        keeper = ImagePublisher(watched, known, sink, console, show)
        tally = _keep(keeper, options, stopped) if options.watch else keeper.look_at_all(stopped)
    sink.close()
    typer.echo(tally.line(), err=True)
    if tally.bad:
        sys.exit(FAILED)


def _keep(keeper: "ImagePublisher", options: PicturesOptions, stopped: "Callable[[], bool]") -> "IngestTally":
    """Look until Ctrl-C; a place that is away is looked at again."""
    from schemas.failures import Unavailable

    said = ""
    while not stopped():
        due = time.monotonic() + options.every
        try:
            keeper.look(stopped)
            said = ""
        except Unavailable as away:
            if said != str(away):
                complain(said := str(away))
        while not stopped() and time.monotonic() < due:
            time.sleep(PAUSE_SECONDS)
    keeper.tally.interrupted = True
    return keeper.tally
