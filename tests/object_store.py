"""A real object store on this machine, whose objects are files of a folder."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.local.ports import find_free_port, is_listening


@contextmanager
def object_store(folder: Path) -> Iterator[str]:
    """The endpoint of a store whose buckets are the folders in this folder."""
    port = find_free_port(0)
    command = [sys.executable, "-m", "localbucket", "--port", str(port), str(folder)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            until = time.monotonic() + 90
            while not is_listening(("127.0.0.1", port)):
                assert time.monotonic() < until, "the object store did not start"
                time.sleep(0.01)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.kill()
