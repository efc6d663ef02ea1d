"""Health: a worker touches a file each turn; whoever wants to know looks how old it is."""

import time
from pathlib import Path


class Heartbeat:
    """The file that a worker touches; `path` of None touches nothing."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)

    def beat(self) -> None:
        """Still here, and at work."""
        if self._path is not None:
            self._path.touch()


def last_beat(path: Path) -> float:
    """Seconds since 1970 of the last beat; 0 when there was none."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def is_alive(path: Path, within_seconds: float) -> bool:
    """Whether the last beat is at most so old."""
    return time.time() - last_beat(path) <= within_seconds
