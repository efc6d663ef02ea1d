"""One alert caused on a running system, as a test of the code behind `make alerts`."""

from pathlib import Path

import pytest
import yaml

from tests.alerts.alerts import Outcome, bring_about
from tests.alerts.causes import CAUSES
from tests.alerts.shortened_rules import shorten_rules
from tests.infra.deploy.deploy_files import RULES
from tests.infra.deploy.prometheus import PROMETHEUS, RULES_FILE

ALERTS = [rule["alert"] for group in RULES["groups"] for rule in group["rules"]]
QUIET_SECONDS = 6.0
"""Twice the wait of the alert in the shortened rules."""


def test_each_alert_has_a_cause() -> None:
    assert sorted(cause.alert for cause in CAUSES) == sorted(ALERTS)


def test_quickened_rules_differ_in_their_times_alone() -> None:
    rules = RULES_FILE.read_text()
    quick = yaml.safe_load(shorten_rules(rules))
    assert [rule["alert"] for group in quick["groups"] for rule in group["rules"]] == ALERTS
    assert "[5m]" in rules
    assert "for: 1m\n" in rules
    assert "[15s]" in shorten_rules(rules)
    assert "for: 3s\n" in shorten_rules(rules)
    assert not {"m]", "m\n"} & {line[-2:] for line in shorten_rules(rules).splitlines() if "for:" in line}


def test_an_alert_that_fires_before_its_cause_or_never_or_for_ever_is_not_right() -> None:
    right = Outcome("A", "something", (), 5.0, ("B",), 1.0)
    assert right.right
    for wrong in (("A",), 5.0, 1.0), ((), None, 1.0), ((), 5.0, None), (("B",), 5.0, 1.0):
        before, fired, over = wrong
        assert not Outcome("A", "something", before, fired, (), over).right


@pytest.mark.long
@pytest.mark.skipif(PROMETHEUS is None, reason="Prometheus is not installed: make prometheus")
def test_an_alert_fires_on_a_running_system_for_its_cause_and_neither_before_nor_after(
    tmp_path: Path,
) -> None:
    [down] = [cause for cause in CAUSES if cause.alert == "LookstreamDown"]
    outcome = bring_about(down, tmp_path / "ground", QUIET_SECONDS)
    assert "LookstreamDown" not in outcome.before
    assert outcome.fired is not None
    assert outcome.over is not None
