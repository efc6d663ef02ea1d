"""The short form of the scenarios for Apache Kafka alone: rebalance storms, and leaders that are killed."""

from pathlib import Path

import pytest

from tests.chaos.short_forms import check, check_control, parametrize
from tests.chaos.suite import Entry

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("kafka_server")]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Those that do not run on the local broker; none, where the tests run on that."""
    parametrize(metafunc, lambda entry: "local" not in entry.scenario.brokers)


def test_the_promise_is_kept(entry: Entry, tmp_path: Path, pytestconfig: pytest.Config) -> None:
    check(pytestconfig, entry, tmp_path)


def test_the_promise_is_broken_without_its_safeguard(
    entry: Entry, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    check_control(pytestconfig, entry, tmp_path)
