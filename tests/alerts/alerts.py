"""Cause each alert on a running system; a real Prometheus evaluates the rules with their times divided.

python -m tests.alerts.alerts [--only LookstreamLag] [--json alerts.json]
"""

import json
import logging
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from infra.console import FAILED
from infra.observability.host_info import describe_machine
from tests.alerts.causes import CAUSES, Cause
from tests.alerts.monitored_system import MonitoredSystem, open_monitored_system
from tests.alerts.shortened_rules import DIVISOR

QUIET_SECONDS, PATIENCE_SECONDS, LOOK_SECONDS = 15.0, 240.0, 0.5


@dataclass(frozen=True)
class Outcome:
    """The result of one cause; times in seconds, None if it did not happen."""

    alert: str
    what: str
    before: tuple[str, ...]
    """Alerts that fired before the cause began."""
    fired: float | None
    """Seconds from the start of the cause until the alert fired."""
    others: tuple[str, ...]
    """Other alerts that fired by then."""
    over: float | None
    """Seconds from the end of the cause until the alert stopped."""

    @property
    def right(self) -> bool:
        """Whether no alert fired before the cause, the alert fired during it, and stopped after it."""
        return not self.before and self.fired is not None and self.over is not None


def bring_about(cause: Cause, folder: Path, quiet: float = QUIET_SECONDS) -> Outcome:
    """Run a system in a new folder; after `quiet` seconds start the cause, wait for the alert, end the cause."""
    folder.mkdir(parents=True)
    with open_monitored_system(folder, cause.settings) as system:
        before = _alerts_fired_in(system, quiet)
        began = time.monotonic()
        with cause.bring(system):
            fired = _wait_seconds(lambda: cause.alert in firing(system), began)
            others = firing(system) - {cause.alert}
        over = _wait_seconds(lambda: cause.alert not in firing(system), time.monotonic())
    return Outcome(cause.alert, cause.what, tuple(sorted(before)), fired, tuple(sorted(others)), over)


def firing(system: MonitoredSystem) -> set[str]:
    """The names of the alerts that fire now."""
    return {alert.name for alert in system.alerts() if alert.firing}


def _alerts_fired_in(system: MonitoredSystem, seconds: float) -> set[str]:
    """The alerts that fired within `seconds`."""
    all_fired, until = set[str](), time.monotonic() + seconds
    while time.monotonic() < until:
        all_fired |= firing(system)
        time.sleep(LOOK_SECONDS)
    return all_fired


def _wait_seconds(holds: Callable[[], bool], since: float) -> float | None:
    """Seconds until the condition holds; None after PATIENCE_SECONDS."""
    while not holds():
        if time.monotonic() - since > PATIENCE_SECONDS:
            return None
        time.sleep(LOOK_SECONDS)
    return round(time.monotonic() - since, 1)


def main(
    only: Annotated[list[str] | None, typer.Option(help="Name of an alert; may be repeated")] = None,
    report: Annotated[Path | None, typer.Option("--json", help="Where to write what was seen")] = None,
) -> None:
    """Cause each alert; exit 1 unless each fires for its cause, not before, and ends after it."""
    logging.getLogger("librdkafka").setLevel(logging.CRITICAL)  # that parts go away is what we want
    names = [cause.alert for cause in CAUSES]
    if unknown := set(only or []) - set(names):
        raise typer.BadParameter(f"there is no alert {min(unknown)}: choose of {', '.join(names)}")
    with tempfile.TemporaryDirectory(prefix="lookstream-alerts-") as folder:
        outcomes = _run([cause for cause in CAUSES if not only or cause.alert in only], Path(folder))
    Console().print(_table(outcomes))
    if report:
        document = {"machine": describe_machine(), "divisor": DIVISOR, "alerts": [asdict(one) for one in outcomes]}
        report.write_text(json.dumps(document, indent=1))
    if not all(outcome.right for outcome in outcomes):
        raise typer.Exit(FAILED)


def _run(causes: Sequence[Cause], folder: Path) -> list[Outcome]:
    columns = (SpinnerColumn(), TextColumn("{task.completed} of {task.total}"), TextColumn("{task.description}"))
    outcomes = []
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True)) as progress:
        task = progress.add_task("", total=len(causes))
        for cause in causes:
            progress.update(task, description=f"{cause.alert}: {cause.what}")
            outcomes.append(bring_about(cause, folder / cause.alert))
            progress.console.print(f"{'ok' if outcomes[-1].right else 'WRONG'} {outcomes[-1]}", highlight=False)
            progress.advance(task)
    return outcomes


def _table(outcomes: Sequence[Outcome]) -> Table:
    table = Table("alert", "cause", "fired after", "other alerts", "over after", "")
    for one in outcomes:
        times = ["never" if seconds is None else f"{seconds:.0f} s" for seconds in (one.fired, one.over)]
        early = f"before: {', '.join(one.before)}" if one.before else ""
        table.add_row(one.alert, one.what, times[0], ", ".join(one.others), times[1], early)
    return table


if __name__ == "__main__":
    typer.run(main)
