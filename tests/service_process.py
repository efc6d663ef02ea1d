"""One service of the system, run by itself as `lookstream up` starts it."""

import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from infra.local.supervisor import Service
from tests.end_to_end.system import ROOT

START_SECONDS = 30


@contextmanager
def run_service(part: Service, environment: Mapping[str, str] | None = None) -> Iterator["subprocess.Popen[bytes]"]:
    """Start the process of a service, wait until it is ready, and kill it when the block ends."""
    started = time.time()
    process = subprocess.Popen(part.command, env=environment, cwd=ROOT)
    try:
        until = time.monotonic() + START_SECONDS
        while not part.is_ready(started):
            assert process.poll() is None, f"{part.name} ended at once"
            assert time.monotonic() < until, f"{part.name} did not start"
            time.sleep(0.01)
        yield process
    finally:
        process.kill()
        process.wait()
