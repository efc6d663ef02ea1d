"""Supervisor of `lookstream up`: runs the parts as child processes and restarts them when they die."""

import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from infra.observability.heartbeat import STARTING, last_beat, read_state
from infra.processes.spawn import ChildSetup, LastLines, reap_orphans, spawn, terminate

FIRST_BACKOFF, LONGEST_BACKOFF = 0.2, 10.0
"""First and longest pause in seconds before a dead child is restarted; it doubles with each early death."""
YOUNG_SECONDS = 30.0
"""A death less than this many seconds after the start is an early one."""
STORM_DEATHS, STORM_PAUSE = 10, 60.0
"""After STORM_DEATHS early deaths in a row a child is restarted once in STORM_PAUSE seconds."""
STOP_SECONDS = 12.0
"""Seconds that a child may take to end after SIGTERM; its own limit is 10 s."""
PERMANENT_PAUSE = 180.0
"""Pause in seconds before a child is restarted whose exit code means that it will fail again."""
PERMANENT: Mapping[int, str] = {
    2: "its command line or its settings are wrong: see its message, correct them and start `lookstream up` again",
    3: "its encoder is missing, or differs from the encoder of the index: see its message",
    4: "the files of the index are damaged: see its message",
}
"""Exit codes of failures that a restart does not resolve, with the remedy; consumers/workers/commands.py defines 3,
infra/qdrant/embedded/damage.py 4."""


class ServiceFailed(Exception):
    """A child cannot run; the message names it and its last line of output."""


@dataclass(frozen=True)
class Service:
    """One child process: its command line, its readiness check, and how it drains."""

    name: str
    command: Sequence[str]
    is_ready: Callable[[float], bool]
    """Readiness check; takes the start time in seconds since 1970."""
    is_drainable: bool = False
    """Whether SIGUSR1 makes it finish queued work and then end."""
    depends_on: str = ""
    """Name of a part. When that part dies this one is killed, and the caller of `watch` must restart it."""


@dataclass
class RunningService:
    """A started part."""

    part: Service
    process: "subprocess.Popen[bytes]"
    stderr_lines: LastLines
    started_at: float = field(default_factory=time.time)
    """Start time in seconds since 1970, comparable with file times."""
    started_monotonic: float = field(default_factory=time.monotonic)
    deaths: int = 0
    """Deaths since it last ran for YOUNG_SECONDS."""
    restart_at: float | None = None
    """When to restart a dead child, on the monotonic clock, which is never adjusted; None while it runs."""
    reported_code: int | None = None
    """The exit code whose remedy has been logged already."""

    def schedule_restart(self, code: int) -> float:
        """Count a death, and set when to restart; returns the pause until then in seconds."""
        if time.monotonic() - self.started_monotonic >= YOUNG_SECONDS:
            self.deaths, self.reported_code = 0, None
        self.deaths += 1
        pause = restart_pause(self.deaths, code)
        self.restart_at = time.monotonic() + pause
        return pause

    def mark_reported(self, code: int) -> None:
        """Record that the remedy of an exit code has been logged."""
        self.reported_code = code

    def kill(self) -> None:
        """Kill the process; it is restarted only on request."""
        self.process.kill()
        self.restart_at = math.inf

    def replace(self, replacement: "RunningService") -> None:
        """Continue with the process of a replacement."""
        self.process, self.stderr_lines = replacement.process, replacement.stderr_lines
        self.started_at, self.started_monotonic = replacement.started_at, replacement.started_monotonic
        self.restart_at = None


class Supervisor:
    """Starts parts in order, restarts them when they die, and ends them in reverse order."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = {**environment, **({"FORCE_COLOR": "1"} if sys.stderr.isatty() else {})}
        self._children: dict[str, RunningService] = {}
        self._log = structlog.get_logger()

    def start(self, parts: Sequence[Service], seconds: float, give_up: Callable[[], bool]) -> None:
        """Start parts in parallel and wait until all are ready.

        Raises ServiceFailed if one ends, or is not ready in time.
        """
        started = [self._spawn(part) for part in parts]
        self._children.update({child.part.name: child for child in started})
        deadline = time.monotonic() + seconds
        while waiting := [child for child in started if not child.part.is_ready(child.started_at)]:
            if give_up():
                return
            for child in waiting:
                code = child.process.poll()
                if code is not None:
                    raise ServiceFailed(
                        f"the {child.part.name} ended at once (exit code {code}): {child.stderr_lines.last()}"
                    )
                if time.monotonic() > deadline:
                    raise ServiceFailed(
                        f"the {child.part.name} was not ready within {seconds:.0f} s: {child.stderr_lines.last()}"
                    )
            time.sleep(0.05)

    def add(self, parts: Sequence[Service]) -> None:
        """Start parts without waiting until they are ready."""
        self._children.update({part.name: self._spawn(part) for part in parts})

    def dependents(self, name: str) -> list[str]:
        """Names of the parts that depend on this one."""
        return [child.part.name for child in self._children.values() if child.part.depends_on == name]

    def watch(self) -> list[str]:
        """Restart dead children whose pause has ended; returns their names."""
        if os.getpid() == 1:
            reap_orphans({child.process.pid for child in self._children.values()})
        restarted = []
        for child in self._children.values():
            code = child.process.poll()
            if code is None:
                continue
            if child.restart_at is None:
                self._schedule(child, code)
            elif time.monotonic() >= child.restart_at:
                self._start_again(child)
                restarted.append(child.part.name)
        return restarted

    def restart(self, name: str) -> None:
        """End a part if it runs, and start it again."""
        child = self._children[name]
        terminate(child.process, signal.SIGTERM, STOP_SECONDS)
        self._start_again(child)

    def drain(self, seconds: float, give_up: Callable[[], bool]) -> bool:
        """Tell the drainable parts to finish their queued work; returns whether they did within `seconds`."""
        waiting = [c.process for c in self._children.values() if c.part.is_drainable and c.process.poll() is None]
        for process in waiting:
            process.send_signal(signal.SIGUSR1)
        deadline = time.monotonic() + seconds
        while any(process.poll() is None for process in waiting):
            if give_up() or time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True

    def stop(self, names: Sequence[str] | None = None) -> None:
        """End these parts, by default all, in reverse order of their start."""
        for name in reversed(list(self._children)):
            if names is None or name in names:
                terminate(self._children.pop(name).process, signal.SIGTERM, STOP_SECONDS)

    def _schedule(self, child: RunningService, code: int) -> None:
        """Log the death of a child, schedule its restart, and kill its dependents."""
        pause = child.schedule_restart(code)
        details = {"name": child.part.name, "code": code, "restart_in_seconds": round(pause, 1)}
        if code in PERMANENT and child.reported_code != code:
            child.mark_reported(code)
            self._log.error("child cannot run", **details, reason=child.stderr_lines.last(), remedy=PERMANENT[code])
        elif code not in PERMANENT:
            self._log.warning("child died", **details, last_lines=child.stderr_lines.lines())
        for name in self.dependents(child.part.name):
            self._children[name].kill()

    def _start_again(self, child: RunningService) -> None:
        child.replace(self._spawn(child.part))

    def _spawn(self, part: Service) -> RunningService:
        process = spawn(part.command, signal.SIGTERM, self._environment, ChildSetup(stderr=subprocess.PIPE))
        return RunningService(part, process, LastLines(process))


def restart_pause(deaths: int, code: int) -> float:
    """Pause in seconds before a child is restarted after this number of deaths."""
    if code in PERMANENT:
        return PERMANENT_PAUSE
    return STORM_PAUSE if deaths > STORM_DEATHS else min(FIRST_BACKOFF * 2 ** (deaths - 1), LONGEST_BACKOFF)


def heartbeat_check(path: Path) -> Callable[[float], bool]:
    """A readiness check: whether the worker has written a heartbeat since its start and is not `starting`."""

    def is_ready(started_at: float) -> bool:
        state = read_state(path)
        return last_beat(path) >= started_at and (state is None or state.state != STARTING)

    return is_ready
