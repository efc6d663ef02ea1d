"""Commands of one machine: `lookstream up` runs the system, `open` shows its page, `health` checks its parts."""

import json
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated

import typer

from infra.config.errors import BadInput
from infra.console import FAILED, command_options
from infra.observability.heartbeat import MAX_AGE_SECONDS

app = typer.Typer()


@dataclass(frozen=True)
class UpOptions:
    """Options of `up`."""

    gateway: Annotated[bool, typer.Option(help="Whether the HTTP gateway and its page run too.")] = True
    canary: Annotated[bool, typer.Option(help="Whether a canary measures the quality of the answers.")] = False


@app.command()
@command_options(UpOptions)
def up(options: UpOptions) -> None:
    """Run the whole system here: broker and embedded index unless yours are set, the workers, the page."""
    import os

    from infra.config.settings import read_settings
    from infra.console import report_errors
    from infra.local.services import LocalExtraMissing
    from infra.local.supervisor import ServiceFailed
    from infra.local.up import OptionalServices, Up
    from infra.local_state import AlreadyRunning
    from infra.observability.logging import configure_logs
    from infra.observability.redaction import redaction

    with report_errors(AlreadyRunning, ServiceFailed, LocalExtraMissing):
        settings = read_settings()
        redact = redaction(settings)
        configure_logs(settings.logs, "up", redact)
        optional = OptionalServices(options.gateway, options.canary)
        Up(settings, os.environ, lambda text: typer.echo(redact(text), err=True), optional).run()


@app.command("open")
def open_page(tenant: Annotated[str, typer.Option(help="Tenant whose items the page shows.")] = "default") -> None:
    """Print the address of the page of a running `lookstream up`, and open it in a browser."""
    import webbrowser
    from urllib.parse import urlencode

    from infra.config.settings import read_settings
    from infra.console import report_errors
    from infra.local_state import page_address

    with report_errors():
        address = page_address(read_settings())
        url = address if tenant == "default" else f"{address}/?{urlencode({'tenant': tenant})}"
        typer.echo(url)
        webbrowser.open(url)


@dataclass(frozen=True)
class HealthOptions:
    """Options of `health`."""

    heartbeat: Annotated[
        Path | None,
        typer.Argument(help="Heartbeat file of a worker; default: check all services.", show_default=False),
    ] = None
    within: Annotated[float, typer.Option(help="Maximum age of a worker's heartbeat in seconds.")] = MAX_AGE_SECONDS
    ready: Annotated[bool, typer.Option("--ready", help="Check that the worker is ready, not only alive.")] = False
    json: Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else.")] = False


@app.command("health")
@command_options(HealthOptions)
def health(options: HealthOptions) -> None:
    """Exit 0 when all is well, 1 when something is not: Kafka, the index and the workers; or one worker alone."""
    if options.heartbeat is not None:
        well = _report_worker(options.heartbeat, options)
    elif options.ready:
        raise BadInput("--ready needs a worker's heartbeat file, as in `lookstream health index.alive --ready`")
    else:
        well = _report_all(options)
    sys.exit(0 if well else FAILED)


def _report_worker(path: Path, options: HealthOptions) -> bool:
    """Print a worker's state; returns whether it is alive, or ready if `--ready` is given."""
    from infra.observability.heartbeat import is_alive, is_ready, read_state

    state, report = read_state(path), {"alive": is_alive(path, options.within)}
    report["ready"] = is_ready(path, options.within)
    typer.echo(json.dumps(report | (asdict(state) if state else {})))
    return report["ready" if options.ready else "alive"]


def _report_all(options: HealthOptions) -> bool:
    """Print the state of every part; returns whether all are healthy."""
    from rich.console import Console
    from rich.table import Table

    from infra.config.settings import read_settings
    from infra.local.health_checks import check_all
    from infra.observability.redaction import redaction

    settings = read_settings()
    redact = redaction(settings)
    checks = [replace(check, says=redact(check.says)) for check in check_all(settings, options.within)]
    well = all(check.well for check in checks)
    if options.json:
        typer.echo(json.dumps({"well": well, "checks": [asdict(check) for check in checks]}))
        return well
    table = Table("part", "well", "what it says")
    for check in checks:
        table.add_row(check.part, "yes" if check.well else "no", check.says)
    Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else 160).print(table)
    return well
