"""Child processes: spawned, never forked, and ended with their parent.

The parent may have threads and gRPC: on Linux `subprocess` then uses vfork, which runs no handler of any library in
the child. That holds only without `preexec_fn`, hence infra/processes/launch.py.
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
"""Where our packages are, whether or not they are installed."""
LAUNCHER = Path(__file__).with_name("launch.py")
KEPT_LINES, LONGEST_LINE = 20, 8_192
COLOURS = re.compile(r"\x1b\[[0-9;]*m")
END_SECONDS = 1.0
"""After a child's death its last lines come within this time, unless children of its own still write."""


@dataclass(frozen=True)
class ChildSetup:
    """How a child is set up."""

    stderr: int | IO[bytes] | None = None
    """As of subprocess; none: the parent's own."""
    inherited: tuple[int, ...] = ()
    """Descriptors that it has under the same number."""
    own_session: bool = True
    """So that Ctrl-C in the terminal is for the parent alone, which ends its children in order. But Linux shares
    processor time between sessions first: a child that is to be nice to its siblings must be in theirs."""


def spawn(
    command: Sequence[str],
    orphaned: signal.Signals,
    environment: Mapping[str, str] | None = None,
    setup: ChildSetup | None = None,
) -> "subprocess.Popen[bytes]":
    """Start a program without input; on Linux it gets `orphaned` when this process dies.

    To be called in a thread that lives as long as the process: the end of that thread counts as the parent's death.
    """
    chosen = setup or ChildSetup()
    tied = [sys.executable, "-I", "-S", str(LAUNCHER), str(os.getpid()), str(int(orphaned))]
    return subprocess.Popen(
        [*(tied if sys.platform == "linux" else []), *command],
        env=environment,
        stdin=subprocess.DEVNULL,
        stderr=chosen.stderr,
        pass_fds=chosen.inherited,
        start_new_session=chosen.own_session,
    )


def end(process: "subprocess.Popen[bytes]", how: signal.Signals, patience_s: float) -> int:
    """Send a child a signal and wait until it has ended, killing it when it takes too long; its exit code."""
    if process.poll() is None:
        process.send_signal(how)
        process.send_signal(signal.SIGCONT)  # a frozen process ends only once it is thawed
    try:
        return process.wait(patience_s)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


class LastLines:
    """Passes on what a child writes to standard error, a pipe, and remembers the last lines."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._lines: deque[str] = deque(maxlen=KEPT_LINES)
        self._reader = threading.Thread(target=self._pass_on, args=(process.stderr,), daemon=True)
        self._reader.start()

    def lines(self) -> list[str]:
        """The last lines of a child that has ended."""
        self._reader.join(END_SECONDS)
        return list(self._lines)

    def last(self) -> str:
        """What a child that has ended said last, without the word `error`."""
        return next(reversed(self.lines()), "it said nothing").removeprefix("error: ")

    def _pass_on(self, stream: IO[bytes]) -> None:
        with stream:
            while line := stream.readline(LONGEST_LINE):
                with suppress(OSError, ValueError):  # ours is gone; the child must not block for that
                    sys.stderr.buffer.write(line)
                    sys.stderr.buffer.flush()
                if text := COLOURS.sub("", line.decode("utf-8", "replace")).rstrip():
                    self._lines.append(text)


def reap_orphans(children: Container[int]) -> None:
    """Collect the exit codes of processes that are no `children` of ours, but came to us when their parents died.

    For process 1 of a container alone: they come to nobody else.
    """
    with suppress(ChildProcessError):  # there is none at all
        while (found := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) is not None:
            if found.si_pid in children:
                return  # its exit code is for `subprocess`; others are found once that has been asked for
            os.waitpid(found.si_pid, os.WNOHANG)
