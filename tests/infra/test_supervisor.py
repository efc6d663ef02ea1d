"""The supervisor with real child processes: it starts the dead again, and gives up only where that is hopeless."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from infra.supervisor import ChildFailed, Part, Supervisor


def never() -> bool:
    return False


@pytest.fixture
def supervisor() -> Iterator[Supervisor]:
    made = Supervisor(os.environ)
    yield made
    made.stop()


def part(name: str, code: str, is_ready: Callable[[float], bool] = lambda _started: True) -> Part:
    return Part(name, [sys.executable, "-c", code], is_ready)


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
    supervisor.start([replace(second, needs="broker")], 10, never)
    os.kill(pids(broker)[0], signal.SIGKILL)
    assert watch_until(supervisor, lambda: len(pids(broker)) == 2) == ["broker"]
    assert len(pids(worker)) == 1
    supervisor.restart("worker")
    watch_until(supervisor, lambda: len(pids(worker)) == 2)


def test_a_child_that_says_it_is_hopeless_ends_the_whole(supervisor: Supervisor) -> None:
    supervisor.start([part("misled", "raise SystemExit(3)")], 10, never)
    with pytest.raises(ChildFailed, match="misled cannot run"):
        watch_until(supervisor, never)


def test_a_child_that_ends_before_it_is_ready_is_named(supervisor: Supervisor) -> None:
    with pytest.raises(ChildFailed, match="the weakling ended at once"):
        supervisor.start([part("weakling", "raise SystemExit(1)", lambda _started: False)], 10, never)


def test_a_child_that_is_not_ready_in_time_is_named(supervisor: Supervisor) -> None:
    with pytest.raises(ChildFailed, match="the sleeper was not ready"):
        supervisor.start([part("sleeper", "import time; time.sleep(60)", lambda _started: False)], 0.2, never)


def test_a_frozen_child_is_stopped_too(supervisor: Supervisor, tmp_path: Path) -> None:
    file = tmp_path / "pids"
    supervisor.start([part("worker", writes_pid(file), lambda _started: bool(pids(file)))], 10, never)
    os.kill(pids(file)[0], signal.SIGSTOP)
    supervisor.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(pids(file)[0], 0)
