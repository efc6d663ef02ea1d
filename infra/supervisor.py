"""The supervisor behind `lookstream up`: runs the parts as child processes and starts them again when they die."""

import math
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from infra.health import STARTING, last_beat, read_state
from infra.spawn import end, spawn

FIRST_BACKOFF, LONGEST_BACKOFF = 0.2, 10.0
"""Seconds before a dead child is started again: doubled each time it dies young."""
YOUNG_SECONDS = 30.0
STOP_SECONDS = 12.0
"""A child has so long to end after SIGTERM: its own limit is 10 s."""
HOPELESS = (2, 3)
"""Exit codes that a restart does not mend: usage, and the encoder (HOPELESS in consumers/commands.py)."""


class ChildFailed(Exception):
    """A child cannot run at all; the message names it and where it said why."""


@dataclass(frozen=True)
class Part:
    """One child process: how to start it, how to tell that it is ready, which signal drains it."""

    name: str
    command: Sequence[str]
    is_ready: Callable[[float], bool]
    """Takes the time at which it was started, in seconds since 1970."""
    drains: bool = False
    """Whether SIGUSR1 tells it to finish what is queued, then end."""
    needs: str = ""
    """The part with which this one is ended when that dies; whoever watches starts it again with `restart`."""
    optional: bool = False
    """Whether all others go on when it cannot run at all."""


@dataclass
class Child:
    """A part that was started."""

    part: Part
    process: "subprocess.Popen[bytes]"
    started: float = field(default_factory=time.time)
    deaths: int = 0
    due: float = 0.0
    """When to start it again, once it has died."""


class Supervisor:
    """Starts parts in order, keeps them running, and ends them in the opposite order."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = dict(environment)
        self._children: dict[str, Child] = {}
        self._log = structlog.get_logger()

    def start(self, parts: Sequence[Part], seconds: float, give_up: Callable[[], bool]) -> None:
        """Start parts side by side and wait until all are ready.

        Raises ChildFailed when one ends, or is not ready in time.
        """
        started = [Child(part, self._spawn(part)) for part in parts]
        self._children.update({child.part.name: child for child in started})
        until = time.monotonic() + seconds
        while waiting := [child for child in started if not child.part.is_ready(child.started)]:
            if give_up():
                return
            for child in waiting:
                code = child.process.poll()
                if code is not None:
                    raise ChildFailed(
                        f"the {child.part.name} ended at once (exit code {code}): see its message above"
                    )
                if time.monotonic() > until:
                    raise ChildFailed(
                        f"the {child.part.name} was not ready within {seconds:.0f} s: see its messages"
                    )
            time.sleep(0.05)

    def add(self, parts: Sequence[Part]) -> None:
        """Start parts, and wait for nothing."""
        self._children.update({part.name: Child(part, self._spawn(part)) for part in parts})

    def needing(self, name: str) -> list[str]:
        """The parts that need this one."""
        return [child.part.name for child in self._children.values() if child.part.needs == name]

    def watch(self) -> list[str]:
        """Start the dead again when they are due; the names of those that were. Raises ChildFailed if hopeless."""
        revived = []
        for child in self._children.values():
            code = child.process.poll()
            if code is None:
                continue
            if code in HOPELESS and not child.part.optional:
                raise ChildFailed(f"the {child.part.name} cannot run (exit code {code}): see its message above")
            if child.due == 0.0:
                self._mourn(child, code)
            elif time.time() >= child.due:
                child.process, child.started, child.due = self._spawn(child.part), time.time(), 0.0
                revived.append(child.part.name)
        return revived

    def restart(self, name: str) -> None:
        """End a part, if it has not ended yet, and start it again."""
        child = self._children[name]
        end(child.process, signal.SIGTERM, STOP_SECONDS)
        child.process, child.started, child.due = self._spawn(child.part), time.time(), 0.0

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

    def _mourn(self, child: Child, code: int) -> None:
        child.deaths = child.deaths + 1 if time.time() - child.started < YOUNG_SECONDS else 1
        wait = min(FIRST_BACKOFF * 2 ** (child.deaths - 1), LONGEST_BACKOFF)
        child.due = time.time() + wait
        self._log.warning("child died", name=child.part.name, code=code, again_in_seconds=round(wait, 1))
        for name in self.needing(child.part.name):
            self._children[name].process.kill()
            self._children[name].due = math.inf

    def _spawn(self, part: Part) -> "subprocess.Popen[bytes]":
        return spawn(part.command, signal.SIGTERM, self._environment)


def beat_since(path: Path) -> Callable[[float], bool]:
    """Whether a worker has said since it was started that it has work."""

    def is_ready(started: float) -> bool:
        told = read_state(path)
        return last_beat(path) >= started and (told is None or told.state != STARTING)

    return is_ready
