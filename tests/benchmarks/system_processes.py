"""The processes of a running system: how soon each is ready, and how much memory it holds."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.config.settings import WorkerSettings
from infra.local_state import LOCAL_SESSION_MS, read_local_state
from infra.observability.heartbeat import read_state
from tests.end_to_end.system import LOOKSTREAM, ROOT, System, make_environment

PATIENCE_SECONDS = 60.0
WORKERS = ("index", "query")
NETWORK_ALONE = """
import sys
from infra.encoder import open_encoder
from infra.config.settings import TorchSettings
open_encoder(sys.argv[1], TorchSettings(engine=sys.argv[2]))
print(open("/proc/self/statm").read().split()[1])
"""


def timed_start(system: System) -> dict[str, float]:
    """Start a system; seconds until its broker and index answered, each worker was ready, and all was."""
    began = time.monotonic()
    system.launch()
    ready: dict[str, float] = {}

    def look() -> bool:
        running = read_local_state(system.folder)
        if running is not None:
            ready.setdefault("broker, topics and index", _since(began))
        for worker in WORKERS:
            worker_state = read_state(system.folder / "run" / f"{worker}.alive")
            if worker_state is not None and worker_state.state == "ready":
                ready.setdefault(f"{worker} worker", _since(began))
        return system.is_ready

    system.wait_for(look, "the system to be ready", PATIENCE_SECONDS, every=0.02)
    return ready | {"all": _since(began)}


def memory_of(system: System) -> dict[str, float]:
    """Resident MB of each part, and of a process with only torch and the loaded network."""
    found = {name: _resident_mb(pid) for name, pid in system.children().items()}
    named = [system.environment[f"LOOKSTREAM_{name}"] for name in ("ENCODER", "TORCH_ENGINE")]
    words = [sys.executable, "-c", NETWORK_ALONE, *named]
    done = subprocess.run(words, env=dict(system.environment), capture_output=True, text=True, check=True, cwd=ROOT)
    return found | {"torch and the network alone": _megabytes(int(done.stdout))}


@contextmanager
def another_index_worker(system: System) -> Iterator[None]:
    """Run a second index worker for a running system until the block ends."""
    heartbeat_file = system.folder / "run" / "second.alive"
    command = [*LOOKSTREAM, "worker", "index", "--heartbeat", str(heartbeat_file)]
    with system.log.open("ab") as log:
        process = subprocess.Popen(command, env=dict(system.environment), stdout=log, stderr=log, cwd=ROOT)
    try:
        system.wait_for(lambda: _is_ready(heartbeat_file), "the second worker", PATIENCE_SECONDS)
        yield
    finally:
        process.terminate()
        process.wait()


def new_system(folder: Path, encoder: str, engine: str) -> System:
    """A system that is not started yet, with the session timeout of the local mode."""
    settings = {"LOOKSTREAM_ENCODER": encoder, "LOOKSTREAM_TORCH_ENGINE": engine}
    settings |= {"LOOKSTREAM_KAFKA_SESSION_TIMEOUT_MS": str(LOCAL_SESSION_MS), **as_outside_tests()}
    return System(folder, make_environment(folder, settings))


def as_outside_tests() -> dict[str, str]:
    """The defaults of settings that tests change for lack of cores."""
    return {"LOOKSTREAM_WORKER_NICENESS": str(WorkerSettings().niceness)}


def _is_ready(heartbeat_file: Path) -> bool:
    worker_state = read_state(heartbeat_file)
    return worker_state is not None and worker_state.state == "ready"


def _since(began: float) -> float:
    return round(time.monotonic() - began, 2)


def _resident_mb(pid: int) -> float:
    return _megabytes(int(Path(f"/proc/{pid}/statm").read_text().split()[1]))


def _megabytes(pages: int) -> float:
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, 1)
