"""The short form of `make chaos`: selected scenarios, small, each with its control."""

from pathlib import Path

import pytest

from tests.chaos.short_forms import check, check_control, parametrize
from tests.chaos.suite import Entry

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("kafka_server")]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Those that run on the local broker too; test_storms.py has the others."""
    parametrize(metafunc, lambda entry: "local" in entry.scenario.brokers)


def test_the_promise_is_kept(entry: Entry, tmp_path: Path, pytestconfig: pytest.Config) -> None:
    check(pytestconfig, entry, tmp_path)


def test_the_promise_is_broken_without_its_safeguard(
    entry: Entry, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    check_control(pytestconfig, entry, tmp_path)
