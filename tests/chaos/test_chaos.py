"""The short form of `make chaos`: the most telling scenarios, small, each beside its control."""

from pathlib import Path

import pytest

from tests.chaos.scenario import Size
from tests.chaos.suite import CONTROL_SHARE, Entry, find_scenarios

SHORT = [entry for entry in find_scenarios() if entry.scenario.short is not None]

pytestmark = [
    pytest.mark.chaos,
    pytest.mark.parametrize("entry", SHORT, ids=lambda entry: entry.scenario.name.replace(" ", "-")),
]


def test_the_promise_is_kept(entry: Entry, tmp_path: Path) -> None:
    report = entry.scenario.run(tmp_path, Size(entry.scenario.short or 1.0))
    assert report.kept, report


def test_the_promise_is_broken_without_its_safeguard(entry: Entry, tmp_path: Path) -> None:
    report = entry.scenario.control(tmp_path, Size(min(entry.scenario.short or 1.0, CONTROL_SHARE)))
    assert not report.kept, report
