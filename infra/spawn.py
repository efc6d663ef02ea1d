"""Child processes: spawned, never forked, and ended with their parent.

The parent may have threads and gRPC: on Linux `subprocess` then uses vfork, which runs no handler of any library in
the child. That holds only without `preexec_fn`, hence infra/launch.py.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

ROOT = Path(__file__).parent.parent
"""Where our packages are, whether or not they are installed."""
LAUNCHER = Path(__file__).with_name("launch.py")


@dataclass(frozen=True)
class Streams:
    """The files of a child besides those that it opens itself."""

    stderr: int | IO[bytes] | None = None
    """As of subprocess; none: the parent's own."""
    inherited: tuple[int, ...] = ()
    """Descriptors that it has under the same number."""


def spawn(
    command: Sequence[str],
    orphaned: signal.Signals,
    environment: Mapping[str, str] | None = None,
    streams: Streams | None = None,
) -> "subprocess.Popen[bytes]":
    """Start a program, in a session of its own, without input; on Linux it gets `orphaned` when this process dies.

    To be called in a thread that lives as long as the process: the end of that thread counts as the parent's death.
    """
    files = streams or Streams()
    tied = [sys.executable, "-I", "-S", str(LAUNCHER), str(os.getpid()), str(int(orphaned))]
    return subprocess.Popen(
        [*(tied if sys.platform == "linux" else []), *command],
        env=environment,
        stdin=subprocess.DEVNULL,
        stderr=files.stderr,
        pass_fds=files.inherited,
        start_new_session=True,  # Ctrl-C in the terminal is for the parent alone, which ends its children in order
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
