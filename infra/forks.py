"""Children of a process with one thread: forked, with its open files, and gone when it is gone."""

import ctypes
import os
import signal
import sys
import traceback
from collections.abc import Callable


def fork(work: Callable[[], None]) -> int:
    """Do some work in a child of this process, which must have one thread; the child's process id.

    The child ends with code 0 when the work is done, with the code of SystemExit, or with 1 and a trace on standard
    error. On Linux it is killed when this process has died, however that was.
    """
    parent = os.getpid()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    if pid := os.fork():
        return pid
    code = 1
    try:
        _die_with(parent)
        work()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    finally:
        if sys.exc_info()[0] is not None:
            traceback.print_exc()
        sys.stderr.flush()
        os._exit(code)


def ended(pid: int) -> int | None:
    """The exit code of a child, or minus the signal that ended it; none while it runs. It tells once."""
    found, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if found else None


def end(pid: int, how: signal.Signals) -> int:
    """Send a child a signal and wait until it has ended; its exit code."""
    os.kill(pid, how)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _die_with(parent: int) -> None:
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
