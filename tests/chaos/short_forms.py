"""The short forms of scenarios as tests: the scenarios of a run, and the run of each with its control."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.chaos.brokers import Kind, brokers_of
from tests.chaos.scenario import Size
from tests.chaos.suite import CONTROL_SHARE, Entry, find_scenarios


def parametrize(metafunc: pytest.Metafunc, chosen: Callable[[Entry], bool]) -> None:
    """Give a test every chosen scenario that has a short form on the brokers of this run."""
    kind = kind_of_run(metafunc.config)
    entries = [entry for entry in find_scenarios() if entry.scenario.short is not None and chosen(entry)]
    found = [entry for entry in entries if kind in entry.scenario.brokers]
    metafunc.parametrize("entry", found, ids=lambda entry: entry.scenario.name.replace(" ", "-").replace(",", ""))


def kind_of_run(config: pytest.Config) -> Kind:
    """The kind of brokers that the tests of a run are on."""
    return "local" if config.getoption("--kafka") == "local" else "apache"


def check(config: pytest.Config, entry: Entry, folder: Path) -> None:
    """The promise is kept."""
    with brokers_of(kind_of_run(config)):
        report = entry.scenario.run(folder, Size(entry.scenario.short or 1.0))
    assert report.holds, report


def check_control(config: pytest.Config, entry: Entry, folder: Path) -> None:
    """The promise is broken without its safeguard."""
    with brokers_of(kind_of_run(config)):
        report = entry.scenario.control(folder, Size(min(entry.scenario.short or 1.0, CONTROL_SHARE)))
    assert not report.holds, report
