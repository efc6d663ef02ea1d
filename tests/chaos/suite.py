"""The suite of chaos tests: every scenario in this folder, and the run of one with its control."""

import importlib
import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tests.chaos.scenario import Report, Run, Scenario, Size

HERE = Path(__file__).parent
DEFINED = re.compile(r"^SCENARIOS?\b.* = ", re.MULTILINE)
CONTROL_SHARE = 0.1
"""A control breaks its promise at this share of the figures already."""


@dataclass(frozen=True)
class Entry:
    """A scenario, and the name of the module that it is in."""

    module: str
    scenario: Scenario

    def is_called(self, name: str) -> bool:
        """Whether `name` is that of the scenario or of its module."""
        return name in (self.module, self.scenario.name)


@dataclass(frozen=True)
class Result:
    """The reports of a scenario and its control; None if the control was not run."""

    entry: Entry
    report: Report
    control: Report | None = None

    @property
    def right(self) -> bool:
        """Whether the promise was kept, and broken without its safeguard."""
        control = self.control
        return self.report.holds and (control is None or (not control.holds and not control.error))


def find_scenarios() -> list[Entry]:
    """Every scenario, by the names of their modules; a module that cannot be imported is one that fails."""
    found: list[Entry] = []
    for path in sorted(HERE.glob("*.py")):
        if DEFINED.search(path.read_text()):
            found += [Entry(path.stem, scenario) for scenario in _scenarios(path.stem)]
    return found


def run_entry(entry: Entry, folder: Path, size: Size, controls: bool, say: Callable[[str], None]) -> Result:
    """Run a scenario in a folder of its own, and its control if `controls`; an error is a broken promise."""
    name = f"{entry.module}-{entry.scenario.name}".replace(" ", "-")
    say(entry.scenario.name)
    report = run_safely(entry.scenario.run, folder / name, size)
    if not controls:
        return Result(entry, report)
    say(f"{entry.scenario.name}, without its safeguard")
    smaller = replace(size, share=min(size.share, CONTROL_SHARE))
    return Result(entry, report, run_safely(entry.scenario.control, folder / f"{name}-control", smaller))


def run_safely(run: Run, folder: Path, size: Size) -> Report:
    """The report of a run; one that raises has broken its promise, whatever that was."""
    folder.mkdir(parents=True)
    report = Report()
    try:
        with report.timed():
            return run(folder, size)
    except Exception as error:
        logging.getLogger("chaos").exception("a run failed, its folder was %s", folder)
        report.error = f"it failed: {type(error).__name__}: {str(error)[:300]}"
        report.broken.append(report.error)
        return report


def _scenarios(module: str) -> Sequence[Scenario]:
    try:
        found = importlib.import_module(f"tests.chaos.{module}")
    except Exception as error:
        logging.getLogger("chaos").exception("%s cannot be imported", module)
        return [_missing(module, f"it cannot be imported: {error}")]
    several: Sequence[Scenario] = getattr(found, "SCENARIOS", ())
    return several or [found.SCENARIO]


def _missing(module: str, why: str) -> Scenario:
    def fail(_folder: Path, _size: Size) -> Report:
        raise ImportError(why)

    return Scenario(module, "that it can be run", fail, fail)
