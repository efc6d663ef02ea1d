"""The batch processor: all that happens to one batch between taking and committing, in a thread of its own."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

import structlog

from consumers.runtime.commit import CommitStrategy, FinishedBatch
from consumers.runtime.crash_ledger import LIVES, CrashLedger
from consumers.runtime.failure_router import FailureRouter
from consumers.runtime.lookahead import LookAhead
from consumers.runtime.parsing import ParsedRecord, parse, split_expired
from consumers.runtime.ports import BatchHandler
from consumers.runtime.shutdown import ShutdownSignal
from infra.kafka import Batch, Record
from infra.retry import HoldTimer, Retry
from schemas.envelope import Event
from schemas.failures import Code, Failure, Fault, Rejected, Unavailable

Result = TypeVar("Result")
Publish = Callable[[FinishedBatch], None]

HOLD_SECONDS = 900.0
"""How long a batch is held while something is away, before the worker says so and ends: a new one may find it."""
PAUSES = Retry(HOLD_SECONDS, first=0.2, longest=10.0)
"""Between two attempts at a batch that is held."""


class BatchOverdue(Fault):
    """What the batch needs stayed away; the message says what it is, and for how long."""


@dataclass(frozen=True)
class BatchWork:
    """A batch to process, and records of earlier ones that were deferred."""

    batch: Batch
    deferred: Sequence[ParsedRecord]
    owned: Callable[[Batch], Batch]
    """What of a batch is still this member's; called at each attempt."""
    publish: Publish
    """Takes what is finished, in its order."""
    shutdown: ShutdownSignal


class BatchProcessor:
    """Processes batches, one at a time."""

    def __init__(
        self,
        handler: BatchHandler,
        router: FailureRouter,
        strategy: CommitStrategy,
        ledger: CrashLedger,
        pauses: Retry = PAUSES,
    ) -> None:
        self._handler = handler
        self._router = router
        self._strategy = strategy
        self._ledger = ledger
        self.pauses = pauses
        """Between two attempts, and how long a batch is held in all."""
        self._look_ahead = LookAhead(handler.prepare) if handler.prepares else None
        self._wake = threading.Event()
        self._may_look_ahead = False
        self._log = structlog.get_logger()
        self.away: str | None = None
        """What the batch waits for, while it does."""
        self.hold: HoldTimer | None = None
        """The wait until what is finished is durable, while that does not work and nothing is committed."""

    def process(self, work: BatchWork) -> list[ParsedRecord]:
        """Do a batch; those that must wait and be given again. Less than all is published when told to stop."""
        deferred = list[ParsedRecord]()
        # A death beside suspects must be theirs: what comes next may be as deadly, and is noted nowhere.
        self._may_look_ahead = not self._ledger.suspects_in(
            [*work.batch.records, *(each.record for each in work.deferred)]
        )
        for again in self._parts_of(work.deferred):
            with self._ledger.in_progress([each.record for each in again]):
                deferred += self._do(work, again)
        for part in self._ledger.split(work.batch.records):
            with self._ledger.in_progress(part):
                deferred += self._do(work, self._read(part))
            if self._is_stopped(work):
                break
        self._secure()
        return deferred

    def idle(self) -> list[ParsedRecord]:
        """Do a small step of what can wait; nothing is lost when that does not work now."""
        try:
            self._handler.idle()
        except Unavailable as away:
            self._log.debug("idle", why=str(away))
        self._secure()
        return []

    def secure_now(self) -> None:
        """Make durable what is finished, before it is committed."""
        self._secure(now=True)

    def look_ahead(self, upcoming: Callable[[], Sequence[Record]]) -> None:
        """Have what the next batch needs got ready, while this one is processed."""
        if self._look_ahead is not None and self._may_look_ahead:
            self._look_ahead.look(upcoming)

    def is_behind(self) -> bool:
        """Whether many records should be taken at once."""
        return self._handler.is_behind()

    def stop_waiting(self) -> None:
        """Wait no longer between two attempts: the worker was told to stop."""
        self._wake.set()

    def close(self) -> None:
        """Let go of the threads."""
        if self._look_ahead is not None:
            self._look_ahead.close()

    def _parts_of(self, deferred: Sequence[ParsedRecord]) -> Iterator[list[ParsedRecord]]:
        """What was deferred, each suspect by itself."""
        known = {each.record.position: each for each in deferred}
        for part in self._ledger.split([each.record for each in deferred]):
            yield [known[record.position] for record in part]

    def _read(self, part: Sequence[Record]) -> list[ParsedRecord]:
        """What records say; one that has killed the worker too often is not even read."""
        if self._ledger.is_deadly(part[0]):
            return [ParsedRecord(part[0], failure=_deadly())]
        return [self._judged(each) for each in parse(part)]

    def _judged(self, parsed: ParsedRecord) -> ParsedRecord:
        if parsed.event is None:
            return parsed
        return replace(parsed, failure=self._router.set_aside(parsed.record, parsed.event))

    def _do(self, work: BatchWork, parsed: Sequence[ParsedRecord]) -> list[ParsedRecord]:
        """Do these records; those that must wait. What is expired comes first: it need not wait for the others."""
        if not parsed:
            return []
        parsed = self._until_available(work, partial(self._without_answered, parsed))
        events = [event for each in parsed for event in each.to_do]
        waiting = self._handler.deferred(events)
        deferred = [each for each in parsed if any(event.id in waiting for event in each.to_do)]
        rest = [each for each in parsed if each not in deferred]
        expired = self._handler.expired([event for each in rest for event in each.to_do])
        first, then = split_expired(rest, expired)
        for handle, some in ((self._handler.refuse, first), (self._handler.handle, then)):
            if some and not self._is_stopped(work):
                self._until_available(work, partial(self._attempt, work, handle, some))
        return deferred

    def _without_answered(self, parsed: Sequence[ParsedRecord]) -> list[ParsedRecord]:
        return [
            replace(each, was_done=self._handler.was_done(each.record)) if each.event is not None else each
            for each in parsed
        ]

    def _attempt(
        self,
        work: BatchWork,
        handle: Callable[[Sequence[Event]], Mapping[str, Failure]],
        parsed: Sequence[ParsedRecord],
    ) -> list[ParsedRecord]:
        """Do these records, as far as they are still ours, and publish that they are done."""
        owned = self._still_owned(work, parsed)
        if not owned:
            return []
        self._strategy.begin()
        failed = handle([event for each in owned for event in each.to_do])
        for each in owned:
            failure = each.failure or (failed.get(each.event.id) if each.event else None)
            self._router.route(each.record, each.event, failure)
        records = [each.record for each in owned]
        self._handler.note_done(records)
        work.publish(self._strategy.collect(work.batch.only(records)))
        self._ledger.survived(records)
        return owned

    def _still_owned(self, work: BatchWork, parsed: Sequence[ParsedRecord]) -> list[ParsedRecord]:
        owned = set(map(id, work.owned(work.batch.only([each.record for each in parsed])).records))
        return [each for each in parsed if id(each.record) in owned]

    def _until_available(self, work: BatchWork, step: Callable[[], list[Result]]) -> list[Result]:
        """What a step comes to, tried again until it works; nothing, when told to stop before that."""
        pauses = self.pauses.pauses()
        while True:
            try:
                found = step()
            except Unavailable as away:
                self.away = str(away)
            else:
                self.away = None
                return found
            pause = self._next_pause(pauses)
            self._log.warning("holding", why=self.away, seconds=round(pause, 1))
            if work.shutdown.now or self._wake.wait(pause):
                return []

    def _next_pause(self, pauses: Iterator[float]) -> float:
        for pause in pauses:
            return pause
        raise BatchOverdue(f"for {self.pauses.seconds:.0f} s a batch could not be done: {self.away}")

    def _secure(self, *, now: bool = False) -> None:
        try:
            if self._strategy.secure(now=now):
                self.hold = None
        except Unavailable as away:
            self._log.warning("not durable yet", why=str(away))
            self.hold = HoldTimer.again(self.hold, away)

    def _is_stopped(self, work: BatchWork) -> bool:
        return work.shutdown.now or self._wake.is_set()


def _deadly() -> Rejected:
    text = f"the worker died {LIVES} times at this event alone: see its pictures, and the worker's log"
    return Rejected(Code.WORKER_KILLED, text)
