"""`make chaos`: test every promise, and run each test without the safeguard to show that it can fail."""

import json
import logging
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from infra.observability.host_info import describe_machine, installed_versions
from tests.chaos.brokers import Kind, brokers_of
from tests.chaos.scenario import Report, Size
from tests.chaos.suite import Entry, Result, find_scenarios, run_entry


def main(
    only: Annotated[list[str] | None, typer.Option(help="Module or name of a scenario; may be repeated")] = None,
    kafka: Annotated[Kind, typer.Option(help="Whose brokers: `apache` needs Java")] = "local",
    share: Annotated[float, typer.Option(min=0.01, max=1, help="Share of the figures promised")] = 1.0,
    seed: Annotated[int, typer.Option(help="Of everything that is drawn")] = 1,
    controls: Annotated[bool, typer.Option(help="Whether to run the controls too")] = True,
    keep: Annotated[Path | None, typer.Option(help="New folder to keep logs and data in")] = None,
    report: Annotated[Path, typer.Option("--json", help="Where to write the figures")] = Path("chaos.json"),
) -> None:
    """Kill, freeze, flood and poison everything; exits 1 when a promise is broken, or a control keeps one."""
    logging.getLogger("librdkafka").setLevel(logging.CRITICAL)  # that brokers go away is what we want
    entries = _chosen(only or [], kafka)
    started, size = time.monotonic(), Size(share, seed)
    with brokers_of(kafka), nullcontext(keep) if keep else tempfile.TemporaryDirectory() as folder:
        results = _run(entries, Path(folder), size, controls)
    table = _table(results)
    Console(width=None if sys.stdout.isatty() else 160).print(table)
    _write(report, size, kafka, results, time.monotonic() - started)
    sys.exit(0 if all(result.right for result in results) else 1)


AS_IT_MUST_BE = "broken, as it must be"
"""How the control of a scenario ends."""


def _chosen(only: Sequence[str], kafka: Kind) -> list[Entry]:
    entries = [entry for entry in find_scenarios() if kafka in entry.scenario.brokers]
    for name in only:
        if not any(entry.is_called(name) for entry in entries):
            known = ", ".join(sorted({entry.module for entry in entries}))
            raise typer.BadParameter(f"there is no scenario `{name}` for this broker: choose of {known}")
    return [entry for entry in entries if not only or any(entry.is_called(name) for name in only)]


def _run(entries: Sequence[Entry], folder: Path, size: Size, controls: bool) -> list[Result]:
    columns = (SpinnerColumn(), TextColumn("{task.completed} of {task.total}"), TextColumn("{task.description}"))
    results = []
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True)) as progress:
        task = progress.add_task("", total=len(entries))
        for entry in entries:
            result = run_entry(
                entry, folder, size, controls, lambda doing: progress.update(task, description=doing)
            )
            progress.console.print(_line(result), highlight=False)
            progress.advance(task)
            results.append(result)
    return results


def _line(result: Result) -> str:
    """One line about a scenario, for those who wait."""
    holds = "kept" if result.report.holds else f"BROKEN ({'; '.join(result.report.broken)})"
    words = f"{holds}, {result.report.seconds:.0f} s"
    if result.control is not None:
        words += f"; control {_control_ended(result.control)}"
    return f"{result.entry.scenario.name}: {words}"


def _table(results: Sequence[Result]) -> Table:
    table = Table("scenario", "promise", "figures", "without the safeguard", "seconds", show_lines=True)
    for result in results:
        report, control = result.report, result.control
        holds = "[green]kept[/green]" if report.holds else "[red]BROKEN[/red]: " + "; ".join(report.broken)
        table.add_row(
            result.entry.scenario.name,
            holds,
            _figures(report),
            "not run" if control is None else _control(control),
            f"{report.seconds:.0f}" + (f" + {control.seconds:.0f}" if control else ""),
        )
    return table


def _control(control: Report) -> str:
    broken = "; ".join(control.broken[:2])
    colour = "green" if _control_ended(control) == AS_IT_MUST_BE else "red"
    return f"[{colour}]{_control_ended(control)}[/{colour}]: {broken}"


def _control_ended(control: Report) -> str:
    if control.error:
        return "FAILED"
    return "NOT BROKEN" if control.holds else AS_IT_MUST_BE


def _figures(report: Report) -> str:
    """The figures in few words: those that are zero in one line."""
    counted = [f"{name}: {value}" for name, value in report.figures.items() if value != 0]
    zeros = [name for name, value in report.figures.items() if value == 0]
    return "\n".join([*counted, *([f"0: {', '.join(zeros)}"] if zeros else [])])


def _write(path: Path, size: Size, kafka: Kind, results: Sequence[Result], seconds: float) -> None:
    document: dict[str, Any] = {
        **asdict(size),
        "kafka": kafka,
        "seconds": round(seconds),
        "machine": describe_machine(),
        "versions": installed_versions(),
        "scenarios": {result.entry.scenario.name: _as_json(result) for result in results},
    }
    path.write_text(json.dumps(document, indent=2) + "\n")


def _as_json(result: Result) -> dict[str, Any]:
    control = None if result.control is None else asdict(result.control)
    about = {"module": result.entry.module, "promise": result.entry.scenario.promise}
    return {**about, "right": result.right, **asdict(result.report), "control": control}


if __name__ == "__main__":
    typer.run(main)
