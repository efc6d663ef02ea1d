"""Spawn: start child processes without fork, and end them together with their parent.

The parent may use threads and gRPC: on Linux `subprocess` uses vfork, so no fork handler of a library runs in the
child. That holds only without `preexec_fn`, hence infra/processes/launch.py.
"""

import os
import re
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Container, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

ROOT = Path(__file__).parents[2]
"""Folder of our packages, whether or not they are installed."""
LAUNCHER = Path(__file__).with_name("launch.py")
MAX_LINES, MAX_LINE_BYTES = 20, 8_192
COLOURS = re.compile(r"\x1b\[[0-9;]*m")
END_SECONDS = 1.0
"""Seconds to wait for the last lines of a dead child; they come later only if its own children still write."""


@dataclass(frozen=True)
class ChildSetup:
    """Options of a child process."""

    stderr: int | IO[bytes] | None = None
    """Standard error, as for subprocess.Popen; None: that of the parent."""
    inherited: tuple[int, ...] = ()
    """File descriptors that the child inherits under the same numbers."""
    own_session: bool = True
    """Whether the child gets its own session, so that Ctrl-C in the terminal reaches only the parent, which ends
    its children in order. As Linux first divides processor time between sessions, niceness towards siblings
    requires a shared session."""


def spawn(
    command: Sequence[str],
    parent_death_signal: signal.Signals,
    environment: Mapping[str, str] | None = None,
    setup: ChildSetup | None = None,
) -> "subprocess.Popen[bytes]":
    """Start a program without input; on Linux it gets `parent_death_signal` when this process dies.

    Call this in a thread that lives as long as the process: the end of that thread counts as the parent's death.
    """
    options = setup or ChildSetup()
    launcher = [sys.executable, "-I", "-S", str(LAUNCHER), str(os.getpid()), str(int(parent_death_signal))]
    return subprocess.Popen(
        [*(launcher if sys.platform == "linux" else []), *command],
        env=environment,
        stdin=subprocess.DEVNULL,
        stderr=options.stderr,
        pass_fds=options.inherited,
        start_new_session=options.own_session,
    )


def terminate(process: "subprocess.Popen[bytes]", end_signal: signal.Signals, patience_s: float) -> int:
    """Send a signal to a child and wait for its end; kill it after `patience_s` seconds. Returns its exit code."""
    if process.poll() is None:
        process.send_signal(end_signal)
        process.send_signal(signal.SIGCONT)  # a stopped process ends only after it continues
    try:
        return process.wait(patience_s)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


class LastLines:
    """Forwards a child's standard error, which must be a pipe, and stores its last lines."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._lines: deque[str] = deque(maxlen=MAX_LINES)
        self._reader = threading.Thread(target=self._forward, args=(process.stderr,), daemon=True)
        self._reader.start()

    def lines(self) -> list[str]:
        """The last lines of an ended child."""
        self._reader.join(END_SECONDS)
        return list(self._lines)

    def last(self) -> str:
        """The last line of an ended child, without the prefix `error: `."""
        return next(reversed(self.lines()), "it wrote nothing").removeprefix("error: ")

    def _forward(self, stream: IO[bytes]) -> None:
        with stream:
            while line := stream.readline(MAX_LINE_BYTES):
                with suppress(
                    OSError, ValueError
                ):  # our standard error is closed; the child must not block on the pipe
                    sys.stderr.buffer.write(line)
                    sys.stderr.buffer.flush()
                if text := COLOURS.sub("", line.decode("utf-8", "replace")).rstrip():
                    self._lines.append(text)


def reap_orphans(children: Container[int]) -> None:
    """Collect the exit codes of orphaned processes that this process has adopted, but not those of `children`.

    Only for process 1 of a container, which is the parent of all orphans.
    """
    with suppress(ChildProcessError):  # no child process exists
        while (status := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) is not None:
            if status.si_pid in children:
                return  # `subprocess` must collect its exit code; a later call finds the others
            os.waitpid(status.si_pid, os.WNOHANG)
