"""Picture command: `ingest pictures` synchronises the index with the pictures of a folder or a bucket."""

import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from infra.config.errors import BadInput
from infra.console import FAILED, command_options, error_console, print_error
from producers.cli_options import OutcomeOptions, TenantOption

if TYPE_CHECKING:
    from collections.abc import Callable

    from infra.config.settings import Settings
    from producers.image_sync.publish import ImagePublisher
    from producers.image_sync.scan import LocationScanner
    from producers.ingest.publish import IngestTally

app = typer.Typer()

PAUSE_SECONDS = 0.1
"""Seconds between two checks for Ctrl-C."""


@dataclass(frozen=True)
class PicturesOptions(OutcomeOptions):
    """Options of `ingest pictures`."""

    place: Annotated[
        str,
        typer.Argument(
            metavar="FOLDER|NAME|s3://BUCKET/PREFIX",
            help="Location of the pictures: a folder, whose pictures go to the content store, or into the events "
            "if there is none; or a name of LOOKSTREAM_IMAGES_ROOTS or a bucket, from which workers read them.",
            show_default=False,
        ),
    ]
    watch: Annotated[bool, typer.Option("--watch", help="Scan repeatedly, until Ctrl-C.")] = False
    every: Annotated[float, typer.Option(min=0.5, max=86_400, help="Seconds from one scan to the next.")] = 5
    categories: Annotated[
        bool, typer.Option("--categories", help="Take the folder of a picture as its category.")
    ] = False
    source: Annotated[Literal["catalog", "social"], typer.Option(help="Source of the items.")] = "catalog"
    let_go: Annotated[
        bool, typer.Option("--let-go", help="Delete items even if most pictures are missing at once.")
    ] = False
    tenant: TenantOption = "default"
    check: Annotated[
        bool, typer.Option("--check", help="Send nothing: scan once, and show what would be sent.")
    ] = False


@app.command("pictures")
@command_options(PicturesOptions)
def ingest_pictures(options: PicturesOptions) -> None:
    """Send the pictures of a folder or a bucket, each as an item; later runs send only changes."""
    from infra.config.settings import read_settings
    from producers.image_packer import open_packer
    from producers.image_sync.locations import location_of
    from producers.image_sync.scan import LocationScanner
    from producers.row_reader import check_defaults

    if options.watch and (options.wait or options.check):
        raise BadInput("--wait and --check are for one scan: leave --watch out")
    settings = read_settings()
    check_defaults(options.tenant)
    with open_packer(settings, options.tenant) as packer:
        location = location_of(options.place, settings.images, packer, settings.data)
        scanner = LocationScanner(location, options.tenant, options.source, options.categories, options.let_go)
        if options.check:
            code = _check(settings, scanner, options)
        else:
            code = _send(settings, scanner, options, packer.threads)
    if line := location.picture_filter.line():
        typer.echo(line, err=True)
    sys.exit(code)


def _send(settings: "Settings", scanner: "LocationScanner", options: PicturesOptions, threads: int) -> int:
    """Scan and send; returns the exit code."""
    from infra.kafka import EventSink, check_broker
    from infra.local_state import resolve_kafka_settings
    from infra.observability.tracing import SERVICE, tracing
    from producers.image_sync.publish import ImagePublisher
    from producers.image_sync.state_db import open_sync_state
    from producers.ingest.publish import catch_ctrl_c, display_tally
    from producers.ingest.session import open_session

    console, kafka = error_console(), resolve_kafka_settings(settings)
    check_broker(kafka)
    with (
        tracing(settings.traces, SERVICE) as spans,
        open_sync_state(settings.data / "watched", scanner.location.name, options.tenant) as state,
        catch_ctrl_c() as stopped,
    ):
        with open_session(kafka, options, console, names_problems=False) as session:
            sink, tally = EventSink(kafka, tracing=spans), session.tally
            with display_tally(console) as update:
                publisher = ImagePublisher(scanner, state, sink, console, update, tally=tally, threads=threads)
                _watch(publisher, options, stopped) if options.watch else publisher.scan_until_complete(stopped)
            sink.close()
            session.wait(stopped)
        code = session.finish()
    if options.watch:  # Ctrl-C is its usual end
        return FAILED if session.tally.bad else 0
    return code


def _check(settings: "Settings", scanner: "LocationScanner", options: PicturesOptions) -> int:
    """Scan once without reading a picture, and show what would be sent; returns the exit code."""
    from dataclasses import replace
    from datetime import UTC, datetime

    from producers.image_sync.locations import FolderLocation
    from producers.image_sync.state_db import open_sync_state
    from producers.ingest.feed_check import checked_folder, run_check

    location = scanner.location
    with open_sync_state(settings.data / "watched", location.name, scanner.tenant) as state:
        if isinstance(location, FolderLocation):
            scanner = replace(scanner, location=replace(location, locate=checked_folder(location.folder)))
        late = datetime.max.replace(tzinfo=UTC)  # files that were only just written count too
        return run_check((step.event for step in scanner.scan(state.all(), late)), options)


def _watch(publisher: "ImagePublisher", options: PicturesOptions, stopped: "Callable[[], bool]") -> "IngestTally":
    """Scan every `options.every` seconds until Ctrl-C; an unavailable location is reported once and retried."""
    from schemas.failures import Unavailable

    last_error = ""
    while not stopped():
        due = time.monotonic() + options.every
        try:
            publisher.scan_once(stopped)
            last_error = ""
        except Unavailable as error:
            if last_error != str(error):
                print_error(last_error := str(error))
        while not stopped() and time.monotonic() < due:
            time.sleep(PAUSE_SECONDS)
    publisher.tally.interrupt()
    return publisher.tally
