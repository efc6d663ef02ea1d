"""Ties a program to the process that starts it: `python -I -S launch.py PARENT SIGNAL PROGRAM WORDS...`.

Linux sends the program SIGNAL once its parent has died, however that was. This stands between the two because code
that runs between fork and exec (`preexec_fn`) breaks where the parent has threads or gRPC: the child of such a
process may do nothing but exec.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1
GONE, NO_PROGRAM = 1, 127
"""Exit codes: the parent had died already; there is no such program, as a shell says it."""


def main() -> None:
    """Become the program, in this very process."""
    parent, number, program = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number)
    # Compared with the parent's own id: in a container the living parent may be process 1.
    if os.getppid() != parent:
        sys.exit(GONE)
    try:
        os.execvp(program[0], program)
    except OSError as error:
        sys.stderr.write(f"error: {program[0]} does not start ({error.strerror}): see that it is installed\n")
        sys.exit(NO_PROGRAM)


if __name__ == "__main__":
    main()
