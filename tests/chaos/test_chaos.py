"""The short form of `make chaos`: the most telling scenarios, small, each beside its control."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.brokers import Kind, brokers_of
from tests.chaos.scenario import Size
from tests.chaos.suite import CONTROL_SHARE, Entry, find_scenarios

pytestmark = pytest.mark.chaos


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every scenario that has a short form on the brokers of this run."""
    kind: Kind = "local" if metafunc.config.getoption("--kafka", "local") == "local" else "apache"
    entries = [entry for entry in find_scenarios() if entry.scenario.short is not None]
    short = [entry for entry in entries if kind in entry.scenario.brokers]
    metafunc.parametrize("brokers", [kind], indirect=True)
    metafunc.parametrize("entry", short, ids=lambda entry: entry.scenario.name.replace(" ", "-"))


@pytest.fixture
def brokers(request: pytest.FixtureRequest) -> Iterator[None]:
    """The kind of brokers that the run is on: one for each scenario, since they freeze and kill it."""
    with brokers_of(request.param):
        yield


@pytest.mark.usefixtures("brokers")
def test_the_promise_is_kept(entry: Entry, tmp_path: Path) -> None:
    report = entry.scenario.run(tmp_path, Size(entry.scenario.short or 1.0))
    assert report.kept, report


@pytest.mark.usefixtures("brokers")
def test_the_promise_is_broken_without_its_safeguard(entry: Entry, tmp_path: Path) -> None:
    report = entry.scenario.control(tmp_path, Size(min(entry.scenario.short or 1.0, CONTROL_SHARE)))
    assert not report.kept, report
