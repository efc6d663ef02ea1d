"""The supervisor with real child processes: it restarts dead ones, and gives up only if a restart cannot help."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from infra.local.supervisor import (
    FIRST_BACKOFF,
    LONGEST_BACKOFF,
    PERMANENT,
    PERMANENT_PAUSE,
    STORM_DEATHS,
    STORM_PAUSE,
    Service,
    ServiceFailed,
    Supervisor,
    restart_pause,
)

ROOT = Path(__file__).parents[3]
NAMESPACE = ["unshare", "--pid", "--fork", "--mount-proc", "--"]
AS_PROCESS_1 = """
import os, signal, sys, time
from pathlib import Path
from infra.local.supervisor import Service, Supervisor

folder = Path(sys.argv[1])
code = (
    "import os, subprocess, sys, time; folder = sys.argv[1]; "
    "sleeper = subprocess.Popen(['sleep', '0.1']); "
    "open(folder + '/pids', 'a').write(str(os.getpid()) + ' '); time.sleep(600)"
)

def pids():
    path = folder / "pids"
    return [int(pid) for pid in path.read_text().split()] if path.exists() else []

def until(condition):
    limit = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < limit
        supervisor.watch()
        time.sleep(0.02)

def zombies():
    states = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = path.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        states.append((parent[0], parent[1]))
    return states.count(("Z", "1"))

print("process", os.getpid(), flush=True)
supervisor = Supervisor(os.environ)
part = Service("worker", [sys.executable, "-c", code, str(folder)], lambda _started: bool(pids()))
supervisor.start([part], 120, lambda: False)
os.kill(pids()[0], signal.SIGKILL)
while zombies() < 2:  # the worker, and what it has left
    time.sleep(0.02)
until(lambda: len(pids()) == 2)
print("revived", flush=True)
until(lambda: not zombies())
print("no zombies", flush=True)
supervisor.stop()
print("stopped", flush=True)
"""


def never() -> bool:
    return False


@pytest.fixture
def supervisor() -> Iterator[Supervisor]:
    made = Supervisor(os.environ)
    yield made
    made.stop()


def part(name: str, code: str, is_ready: Callable[[float], bool] = lambda _started: True) -> Service:
    return Service(name, [sys.executable, "-c", code], is_ready)


def watch_until(supervisor: Supervisor, condition: Callable[[], bool], seconds: float = 20) -> list[str]:
    revived: list[str] = []
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        revived += supervisor.watch()
        time.sleep(0.02)
    return revived


def writes_pid(path: Path) -> str:
    return f"import os, time; open({str(path)!r}, 'a').write(str(os.getpid()) + '\\n'); time.sleep(60)"


def pids(path: Path) -> list[int]:
    return [int(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_a_killed_child_is_started_again(supervisor: Supervisor, tmp_path: Path) -> None:
    file = tmp_path / "pids"
    supervisor.start([part("worker", writes_pid(file), lambda _started: bool(pids(file)))], 10, never)
    os.kill(pids(file)[0], signal.SIGKILL)
    assert watch_until(supervisor, lambda: len(pids(file)) == 2) == ["worker"]


def test_a_child_that_keeps_dying_is_started_ever_more_slowly(supervisor: Supervisor, tmp_path: Path) -> None:
    file = tmp_path / "times"
    code = f"import time; open({str(file)!r}, 'a').write(str(time.time()) + '\\n')"
    supervisor.start([part("short-lived", code)], 10, never)

    def times() -> list[float]:
        return [float(line) for line in file.read_text().splitlines()] if file.exists() else []

    watch_until(supervisor, lambda: len(times()) == 4)
    pauses = [after - before for before, after in zip(times(), times()[1:], strict=False)]
    assert all(pause >= least for pause, least in zip(pauses, (0.2, 0.4, 0.8), strict=True)), pauses


def test_a_child_takes_along_those_that_need_it_until_they_are_restarted(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    broker, worker = tmp_path / "broker", tmp_path / "worker"
    first = part("broker", writes_pid(broker), lambda _started: bool(pids(broker)))
    supervisor.start([first], 10, never)
    second = part("worker", writes_pid(worker), lambda _started: bool(pids(worker)))
    supervisor.start([replace(second, depends_on="broker")], 10, never)
    os.kill(pids(broker)[0], signal.SIGKILL)
    assert watch_until(supervisor, lambda: len(pids(broker)) == 2) == ["broker"]
    assert len(pids(worker)) == 1
    supervisor.restart("worker")
    watch_until(supervisor, lambda: len(pids(worker)) == 2)


@pytest.mark.parametrize("code", PERMANENT)
def test_a_child_that_no_restart_helps_is_reported_once_and_the_others_continue(
    supervisor: Supervisor, tmp_path: Path, capsys: pytest.CaptureFixture[str], code: int
) -> None:
    misled, worker = tmp_path / "misled", tmp_path / "worker"
    notes = f"import os, sys; open({str(misled)!r}, 'a').write(str(os.getpid()) + '\\n')"
    ends = f"{notes}; print('error: no', file=sys.stderr); sys.exit({code})"
    supervisor.start([part("misled", ends)], 60, never)
    supervisor.start([part("worker", writes_pid(worker), lambda _started: bool(pids(worker)))], 60, never)
    os.kill(pids(worker)[0], signal.SIGKILL)
    assert watch_until(supervisor, lambda: len(pids(worker)) == 2, 60) == ["worker"]
    assert len(pids(misled)) == 1
    printed = capsys.readouterr().out
    assert printed.count("child cannot run") == 1
    assert PERMANENT[code] in printed
    assert "reason=no" in printed


def test_pauses_grow_and_end_in_a_rare_try() -> None:
    pauses = [restart_pause(deaths, -9) for deaths in range(1, STORM_DEATHS + 5)]
    assert pauses == sorted(pauses)
    assert pauses[0] == FIRST_BACKOFF
    assert pauses[STORM_DEATHS - 1] == LONGEST_BACKOFF
    assert pauses[-1] == STORM_PAUSE
    assert restart_pause(1, 4) == PERMANENT_PAUSE


def test_a_clock_that_is_set_does_not_change_the_pauses(
    supervisor: Supervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, now = tmp_path / "pids", time.time
    supervisor.start([part("worker", writes_pid(file), lambda _started: bool(pids(file)))], 60, never)
    monkeypatch.setattr(time, "time", lambda: now() - 86_400)
    os.kill(pids(file)[0], signal.SIGKILL)
    watch_until(supervisor, lambda: len(pids(file)) == 2, 60)


def test_a_child_that_dies_is_reported_with_its_last_lines(
    supervisor: Supervisor, capsys: pytest.CaptureFixture[str]
) -> None:
    supervisor.start([part("worker", "1 / 0")], 60, never)
    watch_until(supervisor, lambda: "ZeroDivisionError" in capsys.readouterr().out, 60)


def test_a_child_that_ends_before_it_is_ready_is_reported_with_its_output(supervisor: Supervisor) -> None:
    code = "import sys; sys.exit('error: there is no disk: buy one')"
    with pytest.raises(
        ServiceFailed, match=r"the weakling ended at once \(exit code 1\): there is no disk: buy one$"
    ):
        supervisor.start([part("weakling", code, lambda _started: False)], 60, never)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has namespaces of processes")
def test_it_works_as_process_1_of_a_container_and_reaps_orphans(tmp_path: Path) -> None:
    if subprocess.run([*NAMESPACE, "true"], capture_output=True).returncode:
        pytest.skip("this user may not make a namespace of processes: run as root, or allow user namespaces")
    done = subprocess.run(
        [*NAMESPACE, sys.executable, "-c", AS_PROCESS_1, str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if "child died" not in line]
    assert lines == ["process 1", "revived", "no zombies", "stopped"]


def test_a_child_that_is_not_ready_in_time_is_named(supervisor: Supervisor) -> None:
    with pytest.raises(ServiceFailed, match="the sleeper was not ready"):
        supervisor.start([part("sleeper", "import time; time.sleep(60)", lambda _started: False)], 0.2, never)


def test_a_frozen_child_is_stopped_too(supervisor: Supervisor, tmp_path: Path) -> None:
    file = tmp_path / "pids"
    supervisor.start([part("worker", writes_pid(file), lambda _started: bool(pids(file)))], 10, never)
    os.kill(pids(file)[0], signal.SIGSTOP)
    supervisor.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(pids(file)[0], 0)
