"""A second gateway for a running system, as a user starts it."""

import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

from infra.local.ports import LOOPBACK, find_free_port, is_listening
from tests.end_to_end.system import LOOKSTREAM, ROOT, System

READY_SECONDS = 60


@contextmanager
def second_gateway(system: System, **settings: str) -> Iterator[str]:
    """Run `lookstream gateway` on a free port, and end it as Ctrl-C does, which must be no failure; its address."""
    port = find_free_port(0)
    environment = {**system.environment, **settings, "LOOKSTREAM_GATEWAY_PORT": str(port)}
    with subprocess.Popen([*LOOKSTREAM, "gateway"], env=environment, cwd=ROOT) as gateway:
        try:
            until = time.monotonic() + READY_SECONDS
            while not is_listening((LOOPBACK, port)):
                assert gateway.poll() is None, "the gateway ended at once"
                assert time.monotonic() < until, "the gateway does not listen"
                time.sleep(0.05)
            yield f"http://{LOOPBACK}:{port}"
        finally:
            gateway.send_signal(signal.SIGINT)
    assert gateway.returncode == 0
