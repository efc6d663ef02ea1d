"""Logs and heartbeats, as those who read them see them."""

import json
import os
import subprocess
import sys
from pathlib import Path

from infra.health import Heartbeat, is_alive

ROOT = Path(__file__).parents[2]
SCRIPT = """
import structlog
from infra.logs import configure_logs
from infra.settings import read_settings
configure_logs(read_settings().logs, "index")
structlog.get_logger().debug("quiet")
structlog.get_logger().info("indexed", items=3)
"""


def logged(**settings: str) -> str:
    environment = {**os.environ, **{f"LOOKSTREAM_LOGS_{name.upper()}": value for name, value in settings.items()}}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == ""
    return done.stderr


def test_machines_get_one_json_object_a_line() -> None:
    [line] = logged(format="json").splitlines()
    entry = json.loads(line)
    assert (entry["event"], entry["items"], entry["part"], entry["level"]) == ("indexed", 3, "index", "info")
    assert entry["timestamp"].endswith("Z")


def test_people_get_a_line_to_read_and_choose_how_much() -> None:
    assert "items=3" in logged(format="console")
    assert "quiet" in logged(level="debug")
    assert logged(level="warning") == ""


def test_a_heartbeat_grows_old(tmp_path: Path) -> None:
    path = tmp_path / "run" / "index.alive"
    assert not is_alive(path, 60)
    Heartbeat(path).beat()
    assert is_alive(path, 60)
    os.utime(path, (0, 0))
    assert not is_alive(path, 60)
