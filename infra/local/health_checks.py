"""Health checks: check each part that runs on a data folder or that the settings configure."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from infra.config.settings import Settings
from infra.kafka import check_broker
from infra.local.services import heartbeat_file
from infra.local_state import LocalState, is_process_running, read_local_state, resolve_kafka_settings
from infra.observability.heartbeat import READY, is_alive, last_beat, read_state
from infra.qdrant.connect import connect
from infra.qdrant.contract import EngineError
from infra.qdrant.generations import FIRST, component_name
from schemas.failures import Fault, Unavailable


@dataclass(frozen=True)
class HealthCheck:
    """Result of the check of one part."""

    part: str
    says: str
    """One sentence: its state, or its problem with the remedy."""
    well: bool


def check_all(settings: Settings, within_seconds: float) -> list[HealthCheck]:
    """Check all parts; a worker's last heartbeat may be at most `within_seconds` old."""
    local_state = read_local_state(settings.data)
    checks = [_check("kafka", lambda: _kafka(settings)), _check("index", lambda: _index(settings))]
    return checks + [_worker(path, local_state, within_seconds) for path in _heartbeats(settings.data, local_state)]


def _check(part: str, probe: Callable[[], str]) -> HealthCheck:
    try:
        return HealthCheck(part, probe(), well=True)
    except (Unavailable, EngineError, Fault, ValueError) as problem:
        return HealthCheck(part, str(problem), well=False)


def _kafka(settings: Settings) -> str:
    kafka = resolve_kafka_settings(settings)
    check_broker(kafka)
    return f"answers at {kafka.bootstrap}"


def _index(settings: Settings) -> str:
    with closing(connect(settings)) as index:
        return f"answers, and holds {index.status().live} live pictures"


def _heartbeats(data: Path, local_state: LocalState | None) -> Iterator[Path]:
    """The heartbeat files that exist, and those that are expected."""
    jobs = (
        ["query", *(component_name("index", number) for number in local_state.generations or (FIRST,))]
        if local_state
        else []
    )
    expected = {heartbeat_file(data, job) for job in jobs}
    yield from sorted(expected | set((data / "run").glob("*.alive")))


def _worker(path: Path, local_state: LocalState | None, within_seconds: float) -> HealthCheck:
    problem = _worker_problem(path, local_state, within_seconds)
    state = read_state(path)
    return HealthCheck(
        f"{path.stem} worker", problem or f"is ready since {state.since if state else ''}", well=problem is None
    )


def _worker_problem(path: Path, local_state: LocalState | None, within_seconds: float) -> str | None:
    """Why a worker is not ready; None if it is."""
    state = read_state(path)
    if state is None:
        return "has written no heartbeat yet: wait, or see its log"
    if local_state and not is_process_running(state.pid):
        return f"has died (process {state.pid}): `lookstream up` starts it again, see its log"
    if not is_alive(path, within_seconds):
        age = time.time() - last_beat(path)
        return f"has written no heartbeat for {age:.0f} s: see its log; if it no longer exists, remove {path}"
    if state.state != READY:
        return f"is {state.state} since {state.since}" + (f": {state.why}" if state.why else "")
    return None
