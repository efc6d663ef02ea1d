"""Each alert caused on a running system: a real Prometheus reads it, by the rules with their times divided.

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
from tests.alerts.ground import Ground, open_ground
from tests.alerts.quick import DIVISOR

QUIET_SECONDS, PATIENCE_SECONDS, LOOK_SECONDS = 15.0, 240.0, 0.5


@dataclass(frozen=True)
class Outcome:
    """What became of a cause; times in seconds, none when it never came."""

    alert: str
    what: str
    before: tuple[str, ...]
    """Alerts that fired while all was well."""
    fired: float | None
    """From the cause's beginning."""
    beside: tuple[str, ...]
    """Other alerts that fired by then."""
    over: float | None
    """From the cause's end to when it fired no more."""

    @property
    def right(self) -> bool:
        """Whether nothing fired before its cause, the alert did then, and ended after it."""
        return not self.before and self.fired is not None and self.over is not None


def caused(cause: Cause, folder: Path, quiet: float = QUIET_SECONDS) -> Outcome:
    """Let a system run in a new folder, bring the cause about after some quiet seconds, and take it away again."""
    folder.mkdir(parents=True)
    with open_ground(folder, cause.settings) as ground:
        before = _watched(ground, quiet)
        began = time.monotonic()
        with cause.bring(ground):
            fired = _waited(lambda: cause.alert in firing(ground), began)
            beside = firing(ground) - {cause.alert}
        over = _waited(lambda: cause.alert not in firing(ground), time.monotonic())
    return Outcome(cause.alert, cause.what, tuple(sorted(before)), fired, tuple(sorted(beside)), over)


def firing(ground: Ground) -> set[str]:
    """The alerts that fire."""
    return {alert.name for alert in ground.alerts() if alert.firing}


def _watched(ground: Ground, seconds: float) -> set[str]:
    """What fired in so many seconds."""
    seen, until = set[str](), time.monotonic() + seconds
    while time.monotonic() < until:
        seen |= firing(ground)
        time.sleep(LOOK_SECONDS)
    return seen


def _waited(holds: Callable[[], bool], since: float) -> float | None:
    """Seconds until it holds; none if it does not in good time."""
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
        told = {"machine": describe_machine(), "divisor": DIVISOR, "alerts": [asdict(one) for one in outcomes]}
        report.write_text(json.dumps(told, indent=1))
    if not all(outcome.right for outcome in outcomes):
        raise typer.Exit(FAILED)


def _run(causes: Sequence[Cause], folder: Path) -> list[Outcome]:
    columns = (SpinnerColumn(), TextColumn("{task.completed} of {task.total}"), TextColumn("{task.description}"))
    outcomes = []
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True)) as progress:
        task = progress.add_task("", total=len(causes))
        for cause in causes:
            progress.update(task, description=f"{cause.alert}: {cause.what}")
            outcomes.append(caused(cause, folder / cause.alert))
            progress.console.print(f"{'ok' if outcomes[-1].right else 'WRONG'} {outcomes[-1]}", highlight=False)
            progress.advance(task)
    return outcomes


def _table(outcomes: Sequence[Outcome]) -> Table:
    table = Table("alert", "cause", "fired after", "beside it", "over after", "")
    for one in outcomes:
        times = ["never" if seconds is None else f"{seconds:.0f} s" for seconds in (one.fired, one.over)]
        early = f"before: {', '.join(one.before)}" if one.before else ""
        table.add_row(one.alert, one.what, times[0], ", ".join(one.beside), times[1], early)
    return table


if __name__ == "__main__":
    typer.run(main)
