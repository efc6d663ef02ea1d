"""A real Prometheus for tests and measurements: it scrapes some targets, and answers queries."""

import json
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

from infra.local.ports import LOOPBACK, find_free_port
from infra.local_state import read_local_state
from tests.end_to_end.system import System
from tests.infra.deploy.deploy_files import DEPLOY

PROMETHEUS, PROMTOOL = shutil.which("prometheus"), shutil.which("promtool")
RULES_FILE = DEPLOY / "prometheus" / "rules.yaml"
TARGETS = "targets.json"


@dataclass(frozen=True)
class Alert:
    """An alert that is pending or firing."""

    name: str
    firing: bool


def targets_of(system: System) -> list[str]:
    """The metrics addresses of the parts of a running system."""
    running = read_local_state(system.folder)
    assert running is not None
    assert running.page is not None
    return [f"{LOOPBACK}:{port}" for port in running.metrics.values()] + [running.page.removeprefix("http://")]


@contextmanager
def run_prometheus(targets: Sequence[str], folder: Path, rules: Path = RULES_FILE) -> Iterator[str]:
    """Run a Prometheus that scrapes these targets each second; its address."""
    assert PROMETHEUS
    folder.mkdir()
    write_targets(folder, targets)
    found = [{"files": [str(folder / TARGETS)], "refresh_interval": "1s"}]
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(rules)],
        "scrape_configs": [{"job_name": "lookstream", "file_sd_configs": found}],
    }
    (folder / "prometheus.json").write_text(json.dumps(config))
    address = (LOOPBACK, find_free_port(0))
    words = [f"--config.file={folder / 'prometheus.json'}", f"--storage.tsdb.path={folder / 'data'}"]
    words.append(f"--web.listen-address={address[0]}:{address[1]}")
    process = subprocess.Popen([PROMETHEUS, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 30
        while not _is_ready(f"http://{address[0]}:{address[1]}/-/ready"):
            assert time.monotonic() < until, "Prometheus did not start"
            time.sleep(0.05)
        yield f"http://{address[0]}:{address[1]}"
    finally:
        process.kill()
        process.wait()


def _is_ready(url: str) -> bool:
    try:
        urlopen(url, timeout=1).close()
    except OSError:
        return False
    return True


def write_targets(folder: Path, targets: Sequence[str]) -> None:
    """Have the Prometheus of this folder scrape these targets from now on."""
    draft = folder / f"{TARGETS}.new"
    draft.write_text(json.dumps([{"targets": list(targets)}]))
    draft.replace(folder / TARGETS)


def alerts(prometheus: str) -> list[Alert]:
    """The alerts that are pending or firing."""
    return [Alert(str(one["labels"]["alertname"]), one["state"] == "firing") for one in ask(prometheus, "alerts")]


def ask(prometheus: str, path: str, **words: str) -> list[dict[str, Any]]:
    with urlopen(f"{prometheus}/api/v1/{path}?{urlencode(words)}") as response:
        data = json.loads(response.read())["data"]
    found: list[dict[str, Any]] = data["result"] if "result" in data else data["alerts"]
    return found
