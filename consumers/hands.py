"""The hands of a worker: all that happens to one batch between taking and marking."""

import random
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar

import structlog

from consumers.ahead import Ahead
from consumers.attempts import LIVES, Attempts
from consumers.delivery import Batch, Delivery
from consumers.settle import Settler
from consumers.taken import Taken, never, parse, part_hopeless
from infra.kafka import Record
from schemas.envelope import Event
from schemas.failures import Code, Failure, Rejected, Unavailable

Handle = Callable[[Sequence[Event]], Mapping[str, Failure]]
"""Takes events; returns a Failure for each event id that could not be done. The rest is done."""

Prepare = Callable[[Sequence[Event]], None]

Result = TypeVar("Result")

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 10.0
"""Seconds between two attempts while something is away: doubled each time, with jitter."""


def nothing_to_prepare() -> None:
    """For jobs that have nothing else to do while nothing comes."""


def nothing_ahead(_events: Sequence[Event]) -> None:
    """For jobs that need nothing for a batch but the batch."""


def unheard(_records: Sequence[Record]) -> None:
    """For jobs that nobody asks how far they have come."""


def none_hopeless(_events: Sequence[Event]) -> set[str]:
    """For jobs that do whatever they are given."""
    return set()


def never_behind() -> bool:
    """For jobs for which nothing comes too late."""
    return False


@dataclass(frozen=True)
class Job:
    """What a worker does: `handle` a batch."""

    handle: Handle
    idle: Callable[[], None] = nothing_to_prepare
    """A small step of whatever can wait: called each time that nothing came."""
    is_behind: Callable[[], bool] = never_behind
    """Whether the job would rather be given many records at once, to pass over those that came too late."""
    was_done: Callable[[Record], bool] = never
    """Whether a record has been done by a worker that died before it could say so."""
    passed: Callable[[Sequence[Record]], None] = unheard
    """Told of records that are done, with all before them in their partitions."""
    hopeless: Callable[[Sequence[Event]], set[str]] = none_hopeless
    """The ids of events that cannot be done in time, so that nobody waits for the others to hear of that."""
    refuse: Handle | None = None
    """Handles those: quickly, and in a delivery of their own before the others are handled."""
    prepare: Prepare = nothing_ahead
    """Gets ready what it will need for events that come next; not to be relied on, and another thread's work."""


@dataclass
class Stop:
    """What signals ask of a worker; they only set these flags, the loop looks at them."""

    now: bool = False
    when_idle: bool = False
    followers: list["Stop"] = field(default_factory=list)
    """Whoever must stop at once too."""

    def at_once(self) -> None:
        """Stop after what is in hand."""
        self.now = True
        for follower in self.followers:
            follower.at_once()


class Hands:
    """Works on batches, one at a time, in a thread of its own."""

    def __init__(self, job: Job, settler: Settler, delivery: Delivery, attempts: Attempts) -> None:
        self._job = job
        self._settler = settler
        self._delivery = delivery
        self._attempts = attempts
        self._ahead = None if job.prepare is nothing_ahead else Ahead(job.prepare)
        self._wake = threading.Event()
        self._log = structlog.get_logger()
        self.away: str | None = None
        """What the batch waits for, while it does."""
        self.closed: str | None = None
        """Why the valve has closed, once it has."""

    def work(self, batch: Batch, stop: Stop) -> list[Record]:
        """Do a batch; the records that are done, which is all of them unless `stop` or the valve came between."""
        done: list[Record] = []
        for part in self._attempts.split(batch.records):
            with self._attempts.in_hand(part):
                for handle, taken in self._until_available(partial(self._turns, part), stop):
                    done += self._until_available(partial(self._do, batch, handle, taken), stop)
                    if stop.now or self.closed or self._wake.is_set():
                        return done
        return done

    def idle(self) -> list[Record]:
        """Do a small step of what can wait; nothing is lost when that does not work now."""
        try:
            self._job.idle()
        except Unavailable as away:
            self._log.debug("idle", why=str(away))
        return []

    def look_ahead(self, upcoming: Callable[[], Sequence[Record]]) -> None:
        """Have what the next batch needs got ready, while this one is worked on."""
        if self._ahead is not None:
            self._ahead.look(upcoming)

    def is_behind(self) -> bool:
        """Whether many records should be taken at once."""
        return self._job.is_behind()

    def wake(self) -> None:
        """Wait no longer between two attempts: the worker was told to stop."""
        self._wake.set()

    def _turns(self, part: Sequence[Record]) -> list[tuple[Handle, list[Taken]]]:
        """What is hopeless comes first: it need not wait for the work on the others."""
        taken = parse(part, self._job.was_done)
        if self._job.refuse is None:
            return [(self._job.handle, taken)]
        hopeless = self._job.hopeless([event for one in taken for event in one.to_do])
        first, then = part_hopeless(taken, hopeless)
        turns = [(self._job.refuse, first), (self._job.handle, then)]
        return [(handle, some) for handle, some in turns if some]

    def _until_available(self, step: Callable[[], list[Result]], stop: Stop) -> list[Result]:
        """What a step comes to, tried again until it works; nothing, when told to stop before that."""
        pause = FIRST_PAUSE
        while True:
            try:
                found = step()
            except Unavailable as away:
                self.away = str(away)
                self._log.warning("holding", why=self.away, seconds=round(pause, 1))
            else:
                self.away = None
                return found
            if stop.now or self._wake.wait(pause * random.uniform(0.8, 1.2)):
                return []
            pause = min(pause * 2, LONGEST_PAUSE)

    def _do(self, batch: Batch, handle: Handle, taken: Sequence[Taken]) -> list[Record]:
        self._delivery.begin()
        events = [event for one in taken for event in one.to_do]
        failed: Mapping[str, Failure]
        if self._attempts.is_deadly([one.record for one in taken]):
            failed = {event.id: _deadly() for event in events}
        else:
            failed = handle(events)
        done: list[Record] = []
        for one in taken:
            failure = one.failure or (failed.get(one.event.id) if one.event else None)
            done.append(one.record)
            if self._settler.settle(one.record, one.event, failure):
                self.closed = _too_many(failure)
                break
        self._delivery.finish(replace(batch, records=done))
        self._job.passed(done)
        return done


def _deadly() -> Rejected:
    text = f"the worker died {LIVES} times with this event alone in hand: see its pictures, and the worker's log"
    return Rejected(Code.WORKER_KILLED, text)


def _too_many(failure: Failure | None) -> str:
    reason = f"{failure.code}: {failure.message}" if failure else "unknown"
    return (
        f"too many events are refused, the last one because of {reason}. Something is probably misconfigured: see "
        "`lookstream dead-letters stats`, mend it, start the worker again, and replay them; or raise "
        "LOOKSTREAM_WORKER_DEAD_SHARE and LOOKSTREAM_WORKER_DEAD_IN_A_ROW"
    )
