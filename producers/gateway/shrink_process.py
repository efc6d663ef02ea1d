"""Shrink process: reads a picture on stdin, writes a smaller JPEG to stdout; a crash does not hurt the gateway."""

import resource
import sys
from contextlib import suppress

from infra.images.decode import DecodeLimits
from infra.images.decode_pool import DecodePool
from schemas.failures import Rejected
from schemas.items import MAX_INLINE_BYTES

MEMORY_BYTES, CPU_SECONDS = 1 << 30, 5
"""Limits of address space and processor time."""
EXIT_REFUSED = 3
"""Exit code for a picture that cannot be used; standard error then has the code, a space and the message."""


def main() -> None:
    """Shrink the picture on standard input, and write it to standard output; run as `python -m`."""
    with suppress(ValueError, OSError):  # macOS does not support a limit on address space
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    try:
        sys.stdout.buffer.write(DecodePool(1).shrink(sys.stdin.buffer.read(), DecodeLimits(), MAX_INLINE_BYTES))
    except Rejected as error:
        sys.stderr.write(f"{error.code} {error.message}")
        sys.exit(EXIT_REFUSED)


if __name__ == "__main__":
    main()
