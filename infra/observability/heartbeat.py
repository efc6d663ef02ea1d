"""Heartbeat: a file to which a worker writes its state; its modification time is the time of the last beat."""

import json
import os
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

STARTING, READY, HOLDING, DRAINING = "starting", "ready", "holding", "draining"
"""States of a worker: no partitions yet; processing; waiting for a dependency; finishing before it ends."""
MAX_AGE_SECONDS = 30.0
"""Largest age of a heartbeat in seconds: ten times the longest interval between two beats of a busy worker, and
shorter than the timeouts of orchestrators."""


@dataclass(frozen=True)
class WorkerState:
    """The state that a worker has written."""

    state: str
    """starting, ready, holding or draining."""
    since: str
    """Start of the state, as an ISO 8601 time."""
    why: str | None
    """What it waits for, if it is holding."""
    pid: int


class HeartbeatFile:
    """The heartbeat file of a worker; without a `path` nothing is written."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._written: WorkerState | None = None
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)

    def beat(self, state: str = READY, why: str | None = None) -> None:
        """Update the heartbeat and, if it has changed, the state; `why` states what a holding worker waits for."""
        if self._path is None:
            return
        try:
            if self._written is None or (self._written.state, self._written.why) != (state, why):
                self._write_state(self._path, state, why)
            os.utime(self._path)
        except FileNotFoundError:
            self._written = None  # the file was removed: the next beat writes it again

    def _write_state(self, path: Path, state: str, why: str | None) -> None:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        since = self._written.since if self._written and self._written.state == state else now
        written = WorkerState(state, since, why, os.getpid())
        temporary = path.with_name(f"{path.name}.new")
        try:
            temporary.write_text(json.dumps(asdict(written)))
        except OSError:  # a full disk must not end the worker: the next beat tries again
            return
        temporary.replace(path)
        self._written = written


def last_beat(path: Path) -> float:
    """Time of the last beat in seconds since 1970; 0 if there was none."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def is_alive(path: Path, within_seconds: float) -> bool:
    """Whether the last beat is recent enough; if not, the worker should be restarted."""
    return time.time() - last_beat(path) <= within_seconds


def is_ready(path: Path, within_seconds: float) -> bool:
    """Whether the worker is alive and processing: not while it is starting, holding or draining."""
    state = read_state(path)
    return state is not None and state.state == READY and is_alive(path, within_seconds)


def read_state(path: Path) -> WorkerState | None:
    """The state that the worker wrote last; None if the file is missing or invalid."""
    try:
        fields = json.loads(path.read_text())
        return WorkerState(str(fields["state"]), str(fields["since"]), fields["why"], int(fields["pid"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
