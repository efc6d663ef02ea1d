"""Batch processor: parses a batch, handles it and routes its failures before the commit, on its own thread."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

import structlog

from consumers.runtime.batches import FinishedBatch
from consumers.runtime.commit import CommitStrategy
from consumers.runtime.crash_ledger import MAX_CRASHES, CrashLedger
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
"""How long a batch is retried while a dependency is unavailable. Then the worker ends: a new one may reach it."""
BATCH_BACKOFF = Retry(HOLD_SECONDS, first_pause=0.2, max_pause=10.0)
"""Backoff between two attempts at the same batch."""


class BatchOverdue(Fault):
    """A dependency of the batch stayed unavailable; the message names it and says for how long."""


@dataclass(frozen=True)
class BatchWork:
    """A batch to process, and the records of earlier batches that were deferred."""

    batch: Batch
    deferred: Sequence[ParsedRecord]
    filter_owned: Callable[[Batch], Batch]
    """Returns the part of a batch whose partitions this member still owns; called at each attempt."""
    publish: Publish
    """Receives the finished parts in their order."""
    shutdown: ShutdownSignal


class BatchProcessor:
    """Processes batches, one at a time."""

    def __init__(
        self,
        handler: BatchHandler,
        router: FailureRouter,
        strategy: CommitStrategy,
        ledger: CrashLedger,
        backoff: Retry = BATCH_BACKOFF,
    ) -> None:
        self._handler = handler
        self._router = router
        self._strategy = strategy
        self._ledger = ledger
        self.backoff = backoff
        """Pauses between two attempts, and the total time for which a batch is retried."""
        self._lookahead = LookAhead(handler.prepare) if handler.prepares else None
        self._stop_requested = threading.Event()
        self._lookahead_allowed = False
        self._log = structlog.get_logger()
        self.unavailable_reason: str | None = None
        """Why the current batch is being retried; None while it is not."""
        self.hold: HoldTimer | None = None
        """Set while finished work cannot be made durable, so that nothing is committed."""

    def process(self, work: BatchWork) -> list[ParsedRecord]:
        """Process a batch and return its deferred records, to be passed in again later.

        After a stop request the rest of the batch is not published.
        """
        deferred = list[ParsedRecord]()
        # A crash during a suspect's turn must be the suspect's fault. The ledger does not list the records that
        # look-ahead prepares, and one of those may crash the worker too, so look-ahead is off for this batch.
        self._lookahead_allowed = not self._ledger.has_suspects(
            [*work.batch.records, *(entry.record for entry in work.deferred)]
        )
        for entries in self._split_deferred(work.deferred):
            with self._ledger.in_progress([entry.record for entry in entries]):
                deferred += self._process_part(work, entries)
        for part in self._ledger.split(work.batch.records):
            with self._ledger.in_progress(part):
                deferred += self._process_part(work, self._parse(part))
            if self._is_stopped(work):
                break
        self._persist()
        return deferred

    def idle(self) -> list[ParsedRecord]:
        """Let the handler do one small maintenance step; Unavailable is only logged, and the step comes again."""
        try:
            self._handler.idle()
        except Unavailable as error:
            self._log.debug("maintenance step postponed", reason=str(error))
        self._persist()
        return []

    def persist_now(self) -> None:
        """Make finished work durable at once, so that it can be committed."""
        self._persist(now=True)

    def prepare_upcoming(self, upcoming: Callable[[], Sequence[Record]]) -> None:
        """Prepare the records of the next batch while the current one is processed."""
        if self._lookahead is not None and self._lookahead_allowed:
            self._lookahead.submit(upcoming)

    def is_behind(self) -> bool:
        """Whether the loop should take larger batches."""
        return self._handler.is_behind()

    def stop_waiting(self) -> None:
        """End the pause between two attempts, and make no further attempt: the worker is stopping."""
        self._stop_requested.set()

    def close(self) -> None:
        """Stop the look-ahead thread."""
        if self._lookahead is not None:
            self._lookahead.close()

    def _split_deferred(self, deferred: Sequence[ParsedRecord]) -> Iterator[list[ParsedRecord]]:
        """Split the deferred records so that each crash suspect is alone."""
        by_position = {entry.record.position: entry for entry in deferred}
        for part in self._ledger.split([entry.record for entry in deferred]):
            yield [by_position[record.position] for record in part]

    def _parse(self, part: Sequence[Record]) -> list[ParsedRecord]:
        """Parse records; a poison pill, which crashed the worker too often, is rejected without being parsed."""
        if self._ledger.is_poison_pill(part[0]):
            return [ParsedRecord(part[0], failure=_poison_pill_failure())]
        return [self._check_tenant(entry) for entry in parse(part)]

    def _check_tenant(self, entry: ParsedRecord) -> ParsedRecord:
        if entry.event is None:
            return entry
        return replace(entry, failure=self._router.check_tenant(entry.record))

    def _process_part(self, work: BatchWork, parsed: Sequence[ParsedRecord]) -> list[ParsedRecord]:
        """Process records and return the deferred ones. Expired records go first, without a wait."""
        if not parsed:
            return []
        parsed = self._retry_until_available(work, partial(self._flag_already_done, parsed))
        events = [event for entry in parsed for event in entry.pending_events]
        deferred_ids = self._handler.deferred_ids(events)
        deferred = [entry for entry in parsed if any(event.id in deferred_ids for event in entry.pending_events)]
        ready = [entry for entry in parsed if entry not in deferred]
        expired_ids = self._handler.expired_ids([event for entry in ready for event in entry.pending_events])
        expired, remaining = split_expired(ready, expired_ids)
        for handle, entries in ((self._handler.handle_expired, expired), (self._handler.handle, remaining)):
            if entries and not self._is_stopped(work):
                self._retry_until_available(work, partial(self._handle_and_publish, work, handle, entries))
        return deferred

    def _flag_already_done(self, parsed: Sequence[ParsedRecord]) -> list[ParsedRecord]:
        return [
            replace(entry, already_processed=self._handler.already_processed(entry.record))
            if entry.event is not None
            else entry
            for entry in parsed
        ]

    def _handle_and_publish(
        self,
        work: BatchWork,
        handle: Callable[[Sequence[Event]], Mapping[str, Failure]],
        parsed: Sequence[ParsedRecord],
    ) -> list[ParsedRecord]:
        """Handle the records of partitions that are still owned, route failures, and publish the finished part."""
        owned = self._still_owned(work, parsed)
        if not owned:
            return []
        self._strategy.begin()
        failures = handle([event for entry in owned for event in entry.pending_events])
        for entry in owned:
            failure = entry.failure or (failures.get(entry.event.id) if entry.event else None)
            self._router.route(entry.record, entry.event, failure)
        records = [entry.record for entry in owned]
        self._handler.mark_processed(records)
        work.publish(self._strategy.collect(work.batch.only(records)))
        self._ledger.clear_suspects(records)
        return owned

    def _still_owned(self, work: BatchWork, parsed: Sequence[ParsedRecord]) -> list[ParsedRecord]:
        owned = set(map(id, work.filter_owned(work.batch.only([entry.record for entry in parsed])).records))
        return [entry for entry in parsed if id(entry.record) in owned]

    def _retry_until_available(self, work: BatchWork, step: Callable[[], list[Result]]) -> list[Result]:
        """Run a step, again while it raises Unavailable, and return its result; empty when a stop comes first."""
        try:
            return step()
        except Unavailable as error:
            self.unavailable_reason = str(error)
        for pause in self.backoff.pauses():
            self._log.warning("waiting for a dependency", reason=self.unavailable_reason, seconds=round(pause, 1))
            if work.shutdown.now or self._stop_requested.wait(pause):
                return []
            try:
                result = step()
            except Unavailable as error:
                self.unavailable_reason = str(error)
            else:
                self.unavailable_reason = None
                return result
        raise BatchOverdue(
            f"for {self.backoff.seconds:.0f} s a batch could not be processed: {self.unavailable_reason}"
        )

    def _persist(self, *, now: bool = False) -> None:
        try:
            if self._strategy.persist(now=now):
                self.hold = None
        except Unavailable as error:
            self._log.warning("finished work not durable yet", reason=str(error))
            self.hold = HoldTimer.continue_or_start(self.hold, error)

    def _is_stopped(self, work: BatchWork) -> bool:
        return work.shutdown.now or self._stop_requested.is_set()


def _poison_pill_failure() -> Rejected:
    text = f"the worker died {MAX_CRASHES} times at this event alone: see its pictures, and the worker's log"
    return Rejected(Code.WORKER_KILLED, text)
