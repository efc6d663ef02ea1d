"""The children of the fork server end when the process that started it ends, in whatever way."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.chaos.fork_server import ROOT

PATIENCE_SECONDS = 30
STARTER = """
import os, sys, time
from pathlib import Path
from tests.chaos.fork_server import spawn
print(spawn("http.server", ["0", "--bind", "127.0.0.1"], os.environ, Path(sys.argv[1])).pid, flush=True)
time.sleep(600)
"""


def runs(pid: int) -> bool:
    """Whether the process exists and is not a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_child_dies_when_the_process_that_started_it_is_killed(tmp_path: Path) -> None:
    words = [sys.executable, "-c", STARTER, str(tmp_path / "log")]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, env=dict(os.environ), text=True) as starter:
        assert starter.stdout is not None
        child = int(starter.stdout.readline())
        assert runs(child)
        starter.send_signal(signal.SIGKILL)
    until = time.monotonic() + PATIENCE_SECONDS
    while runs(child):
        assert time.monotonic() < until
        time.sleep(0.05)
