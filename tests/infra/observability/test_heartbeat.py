"""Health: the heartbeat of a worker, and the state of a whole system."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from infra.config.kafka import KafkaSettings
from infra.config.settings import Settings
from infra.local.health_checks import check_all
from infra.local.supervisor import heartbeat_check
from infra.local_state import LocalState
from infra.observability.heartbeat import HeartbeatFile, WorkerState, is_alive, is_ready, last_beat, read_state
from tests.end_to_end import forked_cli

ROOT = Path(__file__).parents[3]


def state_in(path: Path) -> WorkerState:
    state = read_state(path)
    assert state is not None
    return state


def age(path: Path, seconds: float) -> None:
    """Set the age of the last beat."""
    then = last_beat(path) - seconds
    os.utime(path, (then, then))


def test_a_heartbeat_grows_old_and_is_fresh_again_after_a_beat(tmp_path: Path) -> None:
    path = tmp_path / "run" / "index.alive"
    assert not is_alive(path, 60)
    heartbeat = HeartbeatFile(path)
    heartbeat.beat()
    assert is_alive(path, 60)
    age(path, 61)
    assert not is_alive(path, 60)
    heartbeat.beat()
    assert is_alive(path, 60)


def test_a_worker_that_holds_is_alive_but_not_ready(tmp_path: Path) -> None:
    path = tmp_path / "index.alive"
    heartbeat = HeartbeatFile(path)
    heartbeat.beat()
    assert is_ready(path, 60)
    heartbeat.beat("holding", "the index is away")
    assert (state_in(path).state, state_in(path).why, state_in(path).pid) == (
        "holding",
        "the index is away",
        os.getpid(),
    )
    assert is_alive(path, 60)
    assert not is_ready(path, 60)
    heartbeat.beat()
    assert is_ready(path, 60)
    age(path, 61)
    assert not is_ready(path, 60)


def test_the_file_is_written_when_the_state_changes_and_only_touched_otherwise(tmp_path: Path) -> None:
    path = tmp_path / "index.alive"
    heartbeat = HeartbeatFile(path)
    heartbeat.beat("holding", "one")
    first, node = state_in(path), path.stat().st_ino
    age(path, 5)
    heartbeat.beat("holding", "one")
    assert path.stat().st_ino == node
    heartbeat.beat("holding", "two")
    assert (state_in(path).why, state_in(path).since) == ("two", first.since)


def test_a_removed_heartbeat_file_is_written_again_and_without_a_path_there_is_none(tmp_path: Path) -> None:
    path = tmp_path / "index.alive"
    heartbeat = HeartbeatFile(path)
    heartbeat.beat()
    path.unlink()
    heartbeat.beat()
    heartbeat.beat()
    assert is_ready(path, 60)
    HeartbeatFile(None).beat()


def test_a_worker_without_work_yet_does_not_count_as_started(tmp_path: Path) -> None:
    path = tmp_path / "index.alive"
    started = heartbeat_check(path)
    assert not started(1)
    heartbeat = HeartbeatFile(path)
    heartbeat.beat("starting")
    assert not started(1)
    heartbeat.beat()
    assert started(1)
    assert not started(last_beat(path) + 1)


def health(*words: str | Path, code: int, data: Path) -> str:
    environment = {**os.environ, "LOOKSTREAM_DATA": str(data)}
    done = forked_cli.run(["health", *map(str, words)], environment, ROOT, 60)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_the_command_answers_for_one_worker_with_its_exit_code(tmp_path: Path) -> None:
    path = tmp_path / "index.alive"
    HeartbeatFile(path).beat("holding", "the index is away")
    printed = json.loads(health(path, code=0, data=tmp_path))
    assert (printed["alive"], printed["ready"], printed["state"], printed["why"]) == (
        True,
        False,
        "holding",
        "the index is away",
    )
    health(path, "--ready", code=1, data=tmp_path)
    age(path, 31)
    health(path, code=1, data=tmp_path)
    health(path, "--within", "60", code=0, data=tmp_path)
    assert "--ready needs a worker's heartbeat file" in health("--ready", code=2, data=tmp_path)


def test_where_nothing_runs_the_command_says_so_and_what_to_do(tmp_path: Path) -> None:
    printed = json.loads(health("--json", code=1, data=tmp_path))
    assert not printed["well"]
    assert {check["part"] for check in printed["checks"]} == {"kafka", "index"}
    assert all("start `lookstream up`" in check["says"] for check in printed["checks"])


def says(settings: Settings, part: str) -> tuple[bool, str]:
    [check] = [check for check in check_all(settings, 30) if check.part == part]
    return check.well, check.says


def test_each_part_of_a_system_is_judged_by_itself(kafka: KafkaSettings, tmp_path: Path) -> None:
    settings = Settings(data=tmp_path, kafka=KafkaSettings(prefix=kafka.prefix))
    LocalState(os.getpid(), kafka.bootstrap, tmp_path / "socket", ready=True).write(tmp_path)
    path = tmp_path / "run" / "index.alive"
    heartbeat = HeartbeatFile(path)
    assert says(settings, "kafka") == (True, f"answers at {kafka.bootstrap}")
    well, why = says(settings, "index")
    assert not well
    assert "cannot be reached" in why
    assert says(settings, "query worker") == (False, "has written no heartbeat yet: wait, or see its log")
    heartbeat.beat()
    assert says(settings, "index worker") == (True, f"is ready since {state_in(path).since}")
    heartbeat.beat("holding", "the index is away")
    assert says(settings, "index worker") == (False, f"is holding since {state_in(path).since}: the index is away")
    age(path, 100)
    assert re.match(r"has written no heartbeat for 1\d\d s", says(settings, "index worker")[1])


def test_a_worker_whose_process_is_gone_is_dead_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.kafka.broker_check.TIMEOUT_SECONDS", 0.3)
    LocalState(os.getpid(), "127.0.0.1:1", None, ready=True).write(tmp_path)
    gone = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    path = tmp_path / "run" / "query.alive"
    HeartbeatFile(path).beat()
    path.write_text(json.dumps(json.loads(path.read_text()) | {"pid": int(gone.stdout)}))
    well, why = says(Settings(data=tmp_path, kafka=KafkaSettings(bootstrap="127.0.0.1:1")), "query worker")
    assert not well
    assert why.startswith(f"has died (process {int(gone.stdout)})")


@pytest.mark.parametrize("text", ["", "{}", "no json", "[]"])
def test_a_heartbeat_file_that_says_nothing_is_alive_and_not_ready(tmp_path: Path, text: str) -> None:
    path = tmp_path / "index.alive"
    path.write_text(text)
    assert is_alive(path, 60)
    assert read_state(path) is None
    assert not is_ready(path, 60)
