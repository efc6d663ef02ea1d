"""Children of a process with one thread: each test forks from a fresh interpreter, since this one has threads."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from infra.running import process_runs

ROOT = Path(__file__).parents[2]


def run(code: str) -> "subprocess.CompletedProcess[str]":
    """Run a program that may fork."""
    program = f"import os, signal, sys, time\nfrom infra.forks import end, ended, fork\n{code}"
    return subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(
    ("work", "code"),
    [("lambda: None", 0), ("lambda: sys.exit(7)", 7), ("lambda: sys.exit()", 0), ("lambda: 1 / 0", 1)],
)
def test_a_child_ends_with_the_code_of_its_work(work: str, code: int) -> None:
    told = run(f"pid = fork({work})\nwhile (code := ended(pid)) is None: time.sleep(0.01)\nprint(code)")
    assert told.stdout == f"{code}\n"
    assert ("ZeroDivisionError" in told.stderr) == (code == 1)


def test_a_child_that_was_killed_says_by_what() -> None:
    assert run("print(end(fork(lambda: time.sleep(60)), signal.SIGKILL))").stdout == f"{-signal.SIGKILL}\n"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent was killed")
def test_a_child_is_gone_when_its_parent_was_killed() -> None:
    told = run("print(fork(lambda: time.sleep(60)), flush=True)\nos.kill(os.getpid(), signal.SIGKILL)")
    until = time.monotonic() + 10
    while process_runs(int(told.stdout)):
        assert time.monotonic() < until
        time.sleep(0.02)
