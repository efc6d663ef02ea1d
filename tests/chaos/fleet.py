"""A fleet of workers of one kind that come and go: ended by SIGTERM, killed, or frozen past their session."""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tests.chaos.processes import Process

ENDED, KILLED, STOPPED = "ended", "killed", "stopped"
"""How a worker departs."""
ARRIVED, RESUMED = "arrived", "resumed"
"""How a worker arrives: as a new process, or resumed after a freeze."""
HARD = (KILLED, STOPPED)
"""Departures of which the group learns only when the session has run out."""
READY_SECONDS = 45.0
END_SECONDS = 60.0
ARRIVAL_SECONDS = 4.0
"""In this time after its start an arrival has joined its group, which gives it partitions in two rebalances: each
member rejoins once a second at most (librdkafka 2.16, rkcg_join_intvl)."""
POLITE_SECONDS = 2.0
"""In this time after an orderly end the other workers have its partitions."""
DETECTED_SECONDS = 2.0
"""After a kill or freeze: the session timeout plus this time."""

CLEAR_SECONDS = 0.3
"""The pause between two moves whose effects must not overlap."""


@dataclass(frozen=True)
class Move:
    """One arrival or departure."""

    what: str
    slot: str
    at: float
    """When it began, in seconds since 1970: an end at its signal, an arrival at the start of its process."""


@dataclass
class Member:
    """A worker process, and since when it is stopped, if it is."""

    slot: str
    process: Process
    stopped_at: float | None = None


@dataclass
class Fleet:
    """Workers by slot. `start` starts the worker of a slot, `is_ready` says whether it has its partitions."""

    start: Callable[[str], Process]
    is_ready: Callable[[str], bool]
    slots: list[str]
    members: dict[str, Member] = field(default_factory=dict)
    moves: list[Move] = field(default_factory=list)
    unexpected_ends: list[str] = field(default_factory=list)
    """Workers that ended by themselves, each with its exit code."""
    never_ready: list[str] = field(default_factory=list)
    """Workers that had no partitions after READY_SECONDS."""
    exit_codes: list[int] = field(default_factory=list)
    """The exit codes of the workers that were ended by SIGTERM."""

    @property
    def working(self) -> list[str]:
        """The slots of the workers that run and are not stopped."""
        return [slot for slot, member in self.members.items() if member.stopped_at is None]

    def arrive(self) -> None:
        """Start a worker in the first free slot."""
        slot = next(slot for slot in self.slots if slot not in self.members)
        self.moves.append(Move(ARRIVED, slot, time.time()))
        self.members[slot] = Member(slot, self.start(slot))

    def depart(self, slot: str, how: str) -> None:
        """Have the worker of a slot depart."""
        member = self.members[slot]
        self.moves.append(Move(how, slot, time.time()))
        if how == STOPPED:
            member.process.freeze()
            member.stopped_at = time.monotonic()
            return
        del self.members[slot]
        if how == KILLED:
            member.process.kill()
        else:
            self.exit_codes.append(member.process.end(END_SECONDS))

    def resume(self, after_seconds: float) -> bool:
        """Resume a worker that has been frozen for so long; False if there is none."""
        for member in self.members.values():
            if member.stopped_at is not None and time.monotonic() - member.stopped_at >= after_seconds:
                self.moves.append(Move(RESUMED, member.slot, time.time()))
                member.process.thaw()
                member.stopped_at = None
                return True
        return False

    def restart_ended_workers(self) -> None:
        """Note the workers that ended by themselves, and restart each, as a supervisor does."""
        for slot, member in list(self.members.items()):
            if (code := member.process.code) is not None:
                self.unexpected_ends.append(f"{slot} with exit code {code}")
                self.members[slot] = Member(slot, self.start(slot))

    def wait_until_ready(self, but: str | None = None) -> None:
        """Wait until every worker that is not stopped has its partitions; `but` one."""
        for slot in self.working:
            until = time.monotonic() + READY_SECONDS
            while slot != but and not self._is_settled(slot):
                if time.monotonic() > until:
                    self.never_ready.append(slot)
                    break
                time.sleep(0.02)

    def end(self) -> None:
        """Resume the frozen workers, wait for those that still start, and end all by SIGTERM."""
        for member in self.members.values():
            if member.stopped_at is not None:
                member.process.thaw()
                member.stopped_at = None
        self.wait_until_ready()
        for member in self.members.values():
            self.exit_codes.append(member.process.end(END_SECONDS))
        self.members.clear()

    def _is_settled(self, slot: str) -> bool:
        self.restart_ended_workers()
        return self.is_ready(slot)


@dataclass(frozen=True)
class Plan:
    """How many moves there are, in how long, and how many workers there must be."""

    moves: int
    seconds: float
    least: int
    most: int
    session_seconds: float
    apart: Sequence[str] = ()
    """The kinds of the first departures; no other move overlaps their effects. All later moves may overlap."""

    @property
    def stop_seconds(self) -> float:
        """How long a worker is stopped: past its session."""
        return self.session_seconds * 1.25 + 1


def effect_seconds(what: str, session_seconds: float) -> float:
    """The most seconds from a move of this kind until every partition has an owner, without other moves."""
    if what in HARD:
        return session_seconds + DETECTED_SECONDS
    return POLITE_SECONDS if what == ENDED else ARRIVAL_SECONDS


def carry_out(plan: Plan, fleet: Fleet, rng: random.Random, before_move: Callable[[], None] = lambda: None) -> None:
    """Have workers arrive and depart, with at least one that has its partitions.

    One that is killed or stopped may still be starting; one that is ended is not.
    """
    until, made = time.monotonic() + plan.seconds, len(fleet.moves)
    for how in plan.apart:
        _depart_apart(plan, fleet, rng.choice, how, before_move)
    _move_evenly(plan, fleet, rng, before_move, plan.moves - len(fleet.moves) + made, until)


def _move_evenly(
    plan: Plan, fleet: Fleet, rng: random.Random, before_move: Callable[[], None], moves: int, until: float
) -> None:
    started, deck = time.monotonic(), list[str]()
    for number in range(moves):
        _wait(fleet, started + (until - started) * (number + 1) / (moves + 1))
        working = fleet.working
        if len(working) <= plan.least or (len(working) < plan.most and rng.random() < 0.5):
            before_move()
            if not fleet.resume(plan.stop_seconds):
                fleet.arrive()
            continue
        deck = deck or rng.sample([ENDED, KILLED, STOPPED], 3)
        how, leaver = deck.pop(), rng.choice(working)
        fleet.wait_until_ready(but=None if how == ENDED else leaver)
        before_move()
        fleet.depart(leaver, how)
    _wait(fleet, until)


def _depart_apart(
    plan: Plan, fleet: Fleet, choose: Callable[[list[str]], str], how: str, before_move: Callable[[], None]
) -> None:
    if len(fleet.working) <= plan.least:
        before_move()
        if not fleet.resume(plan.stop_seconds):
            fleet.arrive()
    fleet.wait_until_ready()
    _wait(fleet, time.monotonic() + fleet.moves[-1].at + ARRIVAL_SECONDS + CLEAR_SECONDS - time.time())
    before_move()
    fleet.depart(choose(fleet.working), how)
    _wait(fleet, time.monotonic() + (plan.stop_seconds if how in HARD else POLITE_SECONDS) + CLEAR_SECONDS)


def _wait(fleet: Fleet, until: float) -> None:
    while time.monotonic() < until:
        fleet.restart_ended_workers()
        time.sleep(0.02)
