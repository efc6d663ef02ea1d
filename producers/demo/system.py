"""Demo system: use the running system, or start `lookstream up` and stop it at the end."""

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
"""Maximum start time: the first start on a slow disk imports torch and loads the weights twice."""

STOP_SECONDS = 40.0
"""Maximum time of a normal stop: `lookstream up` drains for some seconds first."""

FORCED_STOP_SECONDS = 10.0
"""Maximum time after a second SIGTERM, on which it stops without draining."""

CommandPrinter = Callable[[str], None]


def command_line(*arguments: str) -> list[str]:
    """The command line that runs lookstream with these arguments in the current Python interpreter."""
    return [sys.executable, "-m", "lookstream", *arguments]


def run_command(arguments: Sequence[str], print_command: CommandPrinter) -> None:
    """Print and run a lookstream command in the foreground; raises Unavailable if its exit code is not 0."""
    print_command(shlex.join(["lookstream", *arguments]))
    completed = subprocess.run(command_line(*arguments), check=False)
    if completed.returncode != 0:
        raise Unavailable(f"`{shlex.join(['lookstream', *arguments])}` ended with exit code {completed.returncode}")


@contextmanager
def running_system(
    settings: Settings, log: Path, print_command: CommandPrinter, *, keep: bool
) -> Iterator[int | None]:
    """Wait until the system is ready; start it if it is not running.

    Yields the process id of `lookstream up` if it was started here, otherwise None. A system that was started here
    is stopped at the end, unless `keep` is set and the body raised no exception. Raises Unavailable if the system
    does not become ready.
    """
    if read_local_state(settings.data) is not None:
        wait_until_ready(settings, READY_SECONDS)
        yield None
        return
    print_command("lookstream up")
    child, leave_running = _start(log), False
    try:
        _wait_until_ready(child, settings, log)
        yield child.pid
        leave_running = keep
    finally:
        if not leave_running:
            _stop(child)


def _start(log: Path) -> subprocess.Popen[bytes]:
    # In its own session the child does not receive Ctrl-C; the tour receives it and stops the system in order.
    with log.open("wb") as file:
        return subprocess.Popen(
            command_line("up"), stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True
        )


def _wait_until_ready(child: subprocess.Popen[bytes], settings: Settings, log: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        if child.poll() is not None:
            raise Unavailable(f"`lookstream up` ended with exit code {child.returncode}: {_last_line(log)}")
        try:
            wait_until_ready(settings, 1.0)
        except Unavailable:
            continue
        return
    raise Unavailable(f"`lookstream up` was not ready within {READY_SECONDS:.0f} s: {_last_line(log)}")


def _stop(child: subprocess.Popen[bytes]) -> None:
    """Stop the system with SIGTERM, which drains it; on a timeout or Ctrl-C send a second SIGTERM, then SIGKILL."""
    for timeout in (STOP_SECONDS, FORCED_STOP_SECONDS):
        child.terminate()
        try:
            child.wait(timeout)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            continue
        return
    os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()
    return f"{lines[-1] if lines else 'it wrote nothing'} (all of it: {log})"
