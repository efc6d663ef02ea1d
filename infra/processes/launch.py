"""Launcher: tie a program to its parent process by `python -I -S launch.py PARENT SIGNAL PROGRAM ARGUMENTS...`.

Linux sends SIGNAL to the program when its parent dies for any reason. This is a separate process because code
between fork and exec (`preexec_fn`) fails if the parent uses threads or gRPC: its child may only call exec.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1
PARENT_DIED, NO_PROGRAM = 1, 127
"""Exit codes: the parent has already died; the program does not exist (as in shells)."""


def main() -> None:
    """Replace this process with the program."""
    parent, number, program = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number)
    # Compare with the given parent id, not with 1: in a container a parent that still runs may be process 1.
    if os.getppid() != parent:
        sys.exit(PARENT_DIED)
    try:
        os.execvp(program[0], program)
    except OSError as error:
        sys.stderr.write(f"error: {program[0]} does not start ({error.strerror}): see that it is installed\n")
        sys.exit(NO_PROGRAM)


if __name__ == "__main__":
    main()
