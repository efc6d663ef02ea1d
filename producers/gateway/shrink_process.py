"""A process that shrinks one picture and may die of it: `python -m producers.gateway.shrink_process`, JPEG out."""

import resource
import sys
from contextlib import suppress

from producers.image_refs import shrink
from schemas.failures import Rejected

MEMORY, SECONDS = 1 << 30, 5
"""Bytes of address space, and seconds of processor time."""
REFUSED = 3
"""Exit code of a picture that cannot be used; standard error has the code, a blank and the message."""


def main() -> None:
    """Shrink what comes on standard input."""
    with suppress(ValueError, OSError):  # macOS knows no bound on address space
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    try:
        sys.stdout.buffer.write(shrink(sys.stdin.buffer.read()))
    except Rejected as refused:
        sys.stderr.write(f"{refused.code} {refused.message}")
        sys.exit(REFUSED)


if __name__ == "__main__":
    main()
