"""Checks: whether each part that runs for a data folder, or that the settings name, is well."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from infra.config.settings import Settings
from infra.kafka import check_broker
from infra.local.services import heartbeat_file
from infra.local_state import LocalState, process_runs, reach_kafka, read_local_state
from infra.observability.heartbeat import READY, is_alive, last_beat, read_state
from infra.qdrant.connect import connect
from infra.qdrant.contract import EngineError
from infra.qdrant.generations import FIRST, named
from schemas.failures import Fault, Unavailable


@dataclass(frozen=True)
class HealthCheck:
    """How one part is."""

    part: str
    says: str
    """One sentence: what it does, or what is wrong with the remedy."""
    well: bool


def check_all(settings: Settings, within_seconds: float) -> list[HealthCheck]:
    """Every part; a worker's last beat may be `within_seconds` old."""
    running = read_local_state(settings.data)
    checks = [_asked("kafka", lambda: _kafka(settings)), _asked("index", lambda: _index(settings))]
    return checks + [_worker(path, running, within_seconds) for path in _heartbeats(settings.data, running)]


def _asked(part: str, ask: Callable[[], str]) -> HealthCheck:
    try:
        return HealthCheck(part, ask(), well=True)
    except (Unavailable, EngineError, Fault, ValueError) as wrong:
        return HealthCheck(part, str(wrong), well=False)


def _kafka(settings: Settings) -> str:
    kafka = reach_kafka(settings)
    check_broker(kafka)
    return f"answers at {kafka.bootstrap}"


def _index(settings: Settings) -> str:
    with closing(connect(settings)) as index:
        return f"answers, and holds {index.status().live} live pictures"


def _heartbeats(data: Path, running: LocalState | None) -> Iterator[Path]:
    """The heartbeat files that there are, and those that there should be."""
    jobs = ["query", *(named("index", number) for number in running.generations or (FIRST,))] if running else []
    expected = {heartbeat_file(data, job) for job in jobs}
    yield from sorted(expected | set((data / "run").glob("*.alive")))


def _worker(path: Path, running: LocalState | None, within_seconds: float) -> HealthCheck:
    wrong = _wrong(path, running, within_seconds)
    told = read_state(path)
    return HealthCheck(
        f"{path.stem} worker", wrong or f"is ready since {told.since if told else ''}", well=wrong is None
    )


def _wrong(path: Path, running: LocalState | None, within_seconds: float) -> str | None:
    """Why a worker is not ready; none when it is."""
    told = read_state(path)
    if told is None:
        return "has said nothing yet: wait, or see its log"
    if running and not process_runs(told.pid):
        return f"has died (process {told.pid}): `lookstream up` starts it again, see its log"
    if not is_alive(path, within_seconds):
        age = time.time() - last_beat(path)
        return f"was last heard of {age:.0f} s ago: see its log; if it is gone for good, remove {path}"
    if told.state != READY:
        return f"is {told.state} since {told.since}" + (f": {told.why}" if told.why else "")
    return None
