"""Health: a worker keeps a small file that says what it does, and touches it; whoever wants to know looks at it."""

import json
import os
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

STARTING, READY, HOLDING, DRAINING = "starting", "ready", "holding", "draining"
"""What a worker does: it has no work yet; it works; it waits for what is away; it finishes before it ends."""
FRESH_SECONDS = 30.0
"""A beat may be so old: ten times what a busy worker needs, and below any patience of an orchestrator."""


@dataclass(frozen=True)
class WorkerState:
    """What a worker says that it does."""

    state: str
    """starting, ready, holding or draining."""
    since: str
    """When that began, as an ISO time."""
    why: str | None
    """What it waits for, when it is holding."""
    pid: int


class HeartbeatFile:
    """The file of a worker: its age is that of the last beat. A `path` of None is for workers nobody looks at."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._told: WorkerState | None = None
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)

    def beat(self, state: str = READY, why: str | None = None) -> None:
        """Still here, and what it does; `why` says what a holding worker waits for."""
        if self._path is None:
            return
        try:
            if self._told is None or (self._told.state, self._told.why) != (state, why):
                self._tell(self._path, state, why)
            os.utime(self._path)
        except FileNotFoundError:
            self._told = None  # somebody has tidied up: the next beat writes it again

    def _tell(self, path: Path, state: str, why: str | None) -> None:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        since = self._told.since if self._told and self._told.state == state else now
        told = WorkerState(state, since, why, os.getpid())
        draft = path.with_name(f"{path.name}.new")
        try:
            draft.write_text(json.dumps(asdict(told)))
        except OSError:  # a full disk is no reason to die: it is tried again at the next beat
            return
        draft.replace(path)
        self._told = told


def last_beat(path: Path) -> float:
    """Seconds since 1970 of the last beat; 0 when there was none."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def is_alive(path: Path, within_seconds: float) -> bool:
    """Whether the last beat is at most so old: if not, the worker should be started anew."""
    return time.time() - last_beat(path) <= within_seconds


def is_ready(path: Path, within_seconds: float) -> bool:
    """Whether it is alive and does its work: not while what it needs is away, nor before and after."""
    told = read_state(path)
    return told is not None and told.state == READY and is_alive(path, within_seconds)


def read_state(path: Path) -> WorkerState | None:
    """What the worker last said; none when the file is missing, or is none of ours."""
    try:
        found = json.loads(path.read_text())
        return WorkerState(str(found["state"]), str(found["since"]), found["why"], int(found["pid"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
