"""The system under the demo: found running, or started as `lookstream up` and stopped again."""

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from infra.config.settings import Settings
from infra.local_state import read_local_state, wait_until_ready
from schemas.failures import Unavailable

READY_SECONDS = 180.0
"""A first start on a slow disk imports torch and loads the weights twice."""

STOP_SECONDS = 40.0
"""`lookstream up` drains for some seconds before it stops."""

IMPATIENT_SECONDS = 10.0
"""After a second SIGTERM it stops without draining."""

Say = Callable[[str], None]


def command_line(*words: str) -> list[str]:
    """The lookstream command with these words, run by this very Python."""
    return [sys.executable, "-m", "lookstream", *words]


def run_command(words: Sequence[str], say: Say) -> None:
    """Show and run a lookstream command in the foreground; raises Unavailable when it exits non-zero."""
    say(shlex.join(["lookstream", *words]))
    done = subprocess.run(command_line(*words), check=False)
    if done.returncode != 0:
        raise Unavailable(f"`{shlex.join(['lookstream', *words])}` ended with exit code {done.returncode}")


@contextmanager
def running_system(settings: Settings, log: Path, say: Say, *, keep: bool) -> Iterator[int | None]:
    """The system, ready; yields the process id of the `lookstream up` that was started here, if one was.

    It is stopped at the end, unless it is to be kept and the tour went through.
    """
    if read_local_state(settings.data) is not None:
        wait_until_ready(settings, READY_SECONDS)
        yield None
        return
    say("lookstream up")
    child, kept = _start(log), False
    try:
        _await_ready(child, settings, log)
        yield child.pid
        kept = keep
    finally:
        if not kept:
            _stop(child)


def _start(log: Path) -> subprocess.Popen[bytes]:
    # A session of its own: Ctrl-C reaches the tour alone, which then stops the system in good order.
    with log.open("wb") as file:
        return subprocess.Popen(
            command_line("up"), stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True
        )


def _await_ready(child: subprocess.Popen[bytes], settings: Settings, log: Path) -> None:
    until = time.monotonic() + READY_SECONDS
    while time.monotonic() < until:
        if child.poll() is not None:
            raise Unavailable(f"`lookstream up` ended with exit code {child.returncode}: {_last_line(log)}")
        try:
            wait_until_ready(settings, 1.0)
        except Unavailable:
            continue
        return
    raise Unavailable(f"`lookstream up` was not ready within {READY_SECONDS:.0f} s: {_last_line(log)}")


def _stop(child: subprocess.Popen[bytes]) -> None:
    """Let it drain and stop its parts; an impatient Ctrl-C, or too long a wait, cuts that short."""
    for patience in (STOP_SECONDS, IMPATIENT_SECONDS):
        child.terminate()
        try:
            child.wait(patience)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            continue
        return
    os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()
    return f"{lines[-1] if lines else 'it said nothing'} (all of it: {log})"
