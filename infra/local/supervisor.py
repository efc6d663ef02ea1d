"""The supervisor behind `lookstream up`: runs the parts as child processes and starts them again when they die."""

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
from infra.processes.spawn import ChildSetup, LastLines, end, reap_orphans, spawn

FIRST_BACKOFF, LONGEST_BACKOFF = 0.2, 10.0
"""Seconds before a dead child is started again: doubled each time it dies young."""
YOUNG_SECONDS = 30.0
STORM_DEATHS, STORM_PAUSE = 10, 60.0
"""After so many young deaths in a row a child is started once in so many seconds."""
STOP_SECONDS = 12.0
"""A child has so long to end after SIGTERM: its own limit is 10 s."""
PERMANENT_PAUSE = 180.0
"""Seconds before a child is started again whose exit code says that it will end in the same way."""
PERMANENT: Mapping[int, str] = {
    2: "its command line or its settings are wrong: see its message, mend them and start `lookstream up` again",
    3: "its encoder is missing, or is not the one that the index was made by: see its message",
    4: "the files of the index are damaged: see its message",
}
"""Exit codes that a restart does not mend, with the remedy: workers/commands.py, qdrant/embedded/damage.py."""


class ServiceFailed(Exception):
    """A child cannot run at all; the message names it and where it said why."""


@dataclass(frozen=True)
class Service:
    """One child process: how to start it, how to tell that it is ready, which signal drains it."""

    name: str
    command: Sequence[str]
    is_ready: Callable[[float], bool]
    """Takes the time at which it was started, in seconds since 1970."""
    drains: bool = False
    """Whether SIGUSR1 tells it to finish what is queued, then end."""
    needs: str = ""
    """The part with which this one is ended when that dies; whoever watches starts it again with `restart`."""


@dataclass
class RunningService:
    """A part that was started."""

    part: Service
    process: "subprocess.Popen[bytes]"
    words: LastLines
    started: float = field(default_factory=time.time)
    """By the clock on the wall, as files have it."""
    born: float = field(default_factory=time.monotonic)
    deaths: int = 0
    """Since it last lived for YOUNG_SECONDS."""
    due: float | None = None
    """When to start it again, once it has died: by the monotonic clock, which nobody sets."""
    explained: int | None = None
    """The exit code whose remedy stands in the log already."""


class Supervisor:
    """Starts parts in order, keeps them running, and ends them in the opposite order."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = {**environment, **({"FORCE_COLOR": "1"} if sys.stderr.isatty() else {})}
        self._children: dict[str, RunningService] = {}
        self._log = structlog.get_logger()

    def start(self, parts: Sequence[Service], seconds: float, give_up: Callable[[], bool]) -> None:
        """Start parts side by side and wait until all are ready.

        Raises ServiceFailed when one ends, or is not ready in time.
        """
        started = [self._spawn(part) for part in parts]
        self._children.update({child.part.name: child for child in started})
        until = time.monotonic() + seconds
        while waiting := [child for child in started if not child.part.is_ready(child.started)]:
            if give_up():
                return
            for child in waiting:
                code = child.process.poll()
                if code is not None:
                    raise ServiceFailed(
                        f"the {child.part.name} ended at once (exit code {code}): {child.words.last()}"
                    )
                if time.monotonic() > until:
                    raise ServiceFailed(
                        f"the {child.part.name} was not ready within {seconds:.0f} s: {child.words.last()}"
                    )
            time.sleep(0.05)

    def add(self, parts: Sequence[Service]) -> None:
        """Start parts, and wait for nothing."""
        self._children.update({part.name: self._spawn(part) for part in parts})

    def needing(self, name: str) -> list[str]:
        """The parts that need this one."""
        return [child.part.name for child in self._children.values() if child.part.needs == name]

    def watch(self) -> list[str]:
        """Start the dead again when they are due; the names of those that were."""
        if os.getpid() == 1:
            reap_orphans({child.process.pid for child in self._children.values()})
        revived = []
        for child in self._children.values():
            code = child.process.poll()
            if code is None:
                continue
            if child.due is None:
                self._schedule(child, code)
            elif time.monotonic() >= child.due:
                self._revive(child)
                revived.append(child.part.name)
        return revived

    def restart(self, name: str) -> None:
        """End a part, if it has not ended yet, and start it again."""
        child = self._children[name]
        end(child.process, signal.SIGTERM, STOP_SECONDS)
        self._revive(child)

    def drain(self, seconds: float, give_up: Callable[[], bool]) -> bool:
        """Let the parts that drain finish what is queued; whether they did."""
        waiting = [c.process for c in self._children.values() if c.part.drains and c.process.poll() is None]
        for process in waiting:
            process.send_signal(signal.SIGUSR1)
        until = time.monotonic() + seconds
        while any(process.poll() is None for process in waiting):
            if give_up() or time.monotonic() > until:
                return False
            time.sleep(0.05)
        return True

    def stop(self, names: Sequence[str] | None = None) -> None:
        """End these parts, or all, the last started first."""
        for name in reversed(list(self._children)):
            if names is None or name in names:
                end(self._children.pop(name).process, signal.SIGTERM, STOP_SECONDS)

    def _schedule(self, child: RunningService, code: int) -> None:
        """Say that a child has died, and when it is started again."""
        if time.monotonic() - child.born >= YOUNG_SECONDS:
            child.deaths, child.explained = 0, None
        child.deaths += 1
        wait = pause_after(child.deaths, code)
        child.due = time.monotonic() + wait
        told = {"name": child.part.name, "code": code, "again_in_seconds": round(wait, 1)}
        if code in PERMANENT and child.explained != code:
            child.explained = code
            self._log.error("child cannot run", **told, why=child.words.last(), remedy=PERMANENT[code])
        elif code not in PERMANENT:
            self._log.warning("child died", **told, last_lines=child.words.lines())
        for name in self.needing(child.part.name):
            self._children[name].process.kill()
            self._children[name].due = math.inf

    def _revive(self, child: RunningService) -> None:
        fresh = self._spawn(child.part)
        child.process, child.words = fresh.process, fresh.words
        child.started, child.born, child.due = fresh.started, fresh.born, None

    def _spawn(self, part: Service) -> RunningService:
        process = spawn(part.command, signal.SIGTERM, self._environment, ChildSetup(stderr=subprocess.PIPE))
        return RunningService(part, process, LastLines(process))


def pause_after(deaths: int, code: int) -> float:
    """Seconds until a child is started again that has died so often."""
    if code in PERMANENT:
        return PERMANENT_PAUSE
    return STORM_PAUSE if deaths > STORM_DEATHS else min(FIRST_BACKOFF * 2 ** (deaths - 1), LONGEST_BACKOFF)


def beat_since(path: Path) -> Callable[[float], bool]:
    """Whether a worker has said since it was started that it has work."""

    def is_ready(started: float) -> bool:
        told = read_state(path)
        return last_beat(path) >= started and (told is None or told.state != STARTING)

    return is_ready
