"""Prometheus itself on the rules and on a running system: alerts fire for their causes, every panel has data."""

import subprocess
import time
from pathlib import Path

import pytest

from tests.end_to_end.system import System, make_environment
from tests.infra.deploy.deploy_files import DEPLOY, RULES, queries
from tests.infra.deploy.prometheus import PROMETHEUS, PROMTOOL, RULES_FILE, alerts, ask, run_prometheus, targets_of

PATIENCE_SECONDS = 30
OF_TIME = {"LookstreamStale", "LookstreamSlow", "LookstreamLag"}
"""Alerts that a busy machine may cause: benchmarks measure times, tests do not."""
CAUSES = Path(__file__).with_name("rules_test.yaml")

pytestmark = pytest.mark.skipif(
    PROMETHEUS is None or PROMTOOL is None, reason="Prometheus is not installed: make prometheus"
)


def promtool(*words: str | Path) -> str:
    assert PROMTOOL
    done = subprocess.run([PROMTOOL, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_rules_are_sound() -> None:
    count = sum(len(group["rules"]) for group in RULES["groups"])
    assert f"{count} rules found" in promtool("check", "rules", RULES_FILE)


def test_each_alert_fires_for_its_cause_alone_and_none_while_all_is_well() -> None:
    for group in RULES["groups"]:
        for rule in group["rules"]:
            assert f"- name: {rule['alert']}\n" in CAUSES.read_text()
    assert "SUCCESS" in promtool("test", "rules", CAUSES)


def test_without_its_cause_an_alert_would_be_missed(tmp_path: Path) -> None:
    """The control: a test whose cause is taken away must fail."""
    without = CAUSES.read_text().replace("'0x20'", "'1x20'", 1).replace("../../../infra", str(DEPLOY.parent), 1)
    (tmp_path / "causes.yaml").write_text(without)
    assert PROMTOOL
    done = subprocess.run(
        [PROMTOOL, "test", "rules", tmp_path / "causes.yaml"], capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "LookstreamDown" in done.stdout + done.stderr


def without_data(prometheus: str) -> set[str]:
    """The panels whose queries have no data after some time."""
    of_alerts = {rule["alert"] for group in RULES["groups"] for rule in group["rules"]}
    missing, until = queries().keys() - of_alerts, time.monotonic() + PATIENCE_SECONDS
    while missing and time.monotonic() < until:
        missing -= {what for what in missing if ask(prometheus, "query", query=queries()[what])}
        time.sleep(0.5)
    return missing


def test_every_panel_has_data_of_a_running_system_and_no_alert_is_even_pending(tmp_path: Path, discs: Path) -> None:
    settings = {"LOOKSTREAM_METRICS_PORT": "9400"}
    system = System(tmp_path / "data", make_environment(tmp_path / "data", settings), gateway=True, canary=True)
    system.start()
    try:
        targets = targets_of(system)
        assert len(targets) == 4
        with run_prometheus(targets, tmp_path / "prometheus") as prometheus:
            feed = tmp_path / "shop.csv"
            rows = [f"{path.stem},A disc,{path.name},Discs" for path in sorted(discs.glob("*.png"))]
            feed.write_text("\n".join(["id,title,image_link,product_type", *rows]))
            for _ in range(3):
                system.run("ingest", "catalog", feed, "--image-root", discs)
                system.search(discs / "red.png", "--best-effort")
                time.sleep(2)
            assert without_data(prometheus) == set()
            assert {alert.name for alert in alerts(prometheus)} <= OF_TIME
    finally:
        system.stop()
