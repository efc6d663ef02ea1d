"""The short form of `make chaos`, with the quick encoder."""

from pathlib import Path

import pytest

from tests.chaos.chaos import FAULTS, run_in

pytestmark = pytest.mark.chaos


def test_nothing_is_lost_when_every_part_is_killed_or_frozen_in_turn(tmp_path: Path) -> None:
    outcome = run_in(tmp_path, "chaos", FAULTS, items=200, settings={}, seed=1)
    assert outcome.nothing_lost, outcome


def test_the_control_loses_items_when_the_local_broker_is_killed(tmp_path: Path) -> None:
    outcome = run_in(tmp_path, "control", ["index", "broker"], items=200, settings={}, seed=1)
    assert not outcome.nothing_lost, outcome
