"""The loop that every worker runs: take, handle, settle, commit."""

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog

from infra.health import Heartbeat
from infra.kafka import Record
from schemas.envelope import Event, from_record
from schemas.failures import Failure, Rejected, Unavailable
from schemas.topics import dead_letter_topic

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 10.0
"""Seconds to hold a batch while something is away: doubled each time, with jitter."""


class Source(Protocol):
    """Where records come from; infra.kafka.EventSource is one."""

    @property
    def assigned(self) -> bool: ...
    def take(self, limit: int, seconds: float, idle_seconds: float = 0.2) -> list[Record]: ...
    def hold(self, seconds: float) -> None: ...
    def commit(self, records: Sequence[Record]) -> None: ...
    def close(self) -> None: ...


class Sink(Protocol):
    """Where events go; infra.kafka.EventSink is one."""

    def send(self, topic: str, key: str, event: Event, partition: int | None = None) -> None: ...
    def send_raw(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: Mapping[str, bytes | None],
        *,
        partition: int | None = None,
    ) -> None: ...
    def flush(self) -> None: ...


def nothing_to_keep() -> None:
    """For jobs whose work is safe as soon as Kafka has it."""


def nothing_to_prepare() -> None:
    """For jobs that have nothing else to do while nothing comes."""


@dataclass(frozen=True)
class Job:
    """What a worker does: `handle` a batch, and `tell` who asked when a record was refused."""

    handle: Callable[[Sequence[Event]], Mapping[str, Failure]]
    """Takes events; returns a Failure for each event id that could not be done. The rest is done."""
    tell: Callable[[Record, Event | None, Failure], None]
    keep: Callable[[], None] = nothing_to_keep
    """Makes what was done survive a power loss; called before offsets are committed."""
    idle: Callable[[], None] = nothing_to_prepare
    """A small step of whatever can wait: called each time that nothing came."""


@dataclass(frozen=True)
class Batches:
    """How large a batch may grow: in records, and in seconds after the first of them."""

    records: int
    seconds: float
    commit_seconds: float = 0.0
    """Commit at most so often: the embedded index takes 0.2 s to make a write survive a power loss."""


@dataclass
class Stop:
    """What signals ask of a worker; they only set these flags, the loop looks at them."""

    now: bool = False
    when_idle: bool = False


class Worker:
    """Takes batches, has them handled, and commits them only when all of that is safe."""

    def __init__(self, source: Source, sink: Sink, job: Job, batches: Batches, heartbeat: Heartbeat) -> None:
        self._source = source
        self._sink = sink
        self._job = job
        self._batches = batches
        self._heartbeat = heartbeat
        self._done: list[Record] = []
        self._committed = time.monotonic()
        self._log = structlog.get_logger()

    def run(self, stop: Stop, idle_seconds: float = 1.0) -> None:
        """Work until told to stop: at once after the batch in hand, or when nothing came for `idle_seconds`."""
        last_work = time.monotonic()
        while not stop.now:
            if self.step(stop) or not self._source.assigned:
                last_work = time.monotonic()
            elif stop.when_idle and time.monotonic() - last_work > idle_seconds:
                break
        self._commit()

    def step(self, stop: Stop) -> bool:
        """One turn: whether there was anything to do. What is done is committed when nothing more comes."""
        batch = self._source.take(self._batches.records, self._batches.seconds)
        if self._source.assigned:
            self._heartbeat.beat()
        if batch:
            self._until_available(lambda: self._do(batch), stop)
        else:
            self._job.idle()
        if not batch or time.monotonic() - self._committed >= self._batches.commit_seconds:
            self._until_available(self._commit, stop)
        return bool(batch)

    def _do(self, batch: Sequence[Record]) -> None:
        events, failures = self._parse(batch)
        failed = self._job.handle([event for _, event in events])
        failures.extend((record, event, failed[event.id]) for record, event in events if event.id in failed)
        for record, event, failure in failures:
            self._settle(record, event, failure)
        self._sink.flush()
        self._done.extend(batch)

    def _commit(self) -> None:
        if self._done:
            self._job.keep()
            self._source.commit(self._done)
            self._done.clear()
        self._committed = time.monotonic()

    def _parse(
        self, batch: Sequence[Record]
    ) -> tuple[list[tuple[Record, Event]], list[tuple[Record, Event | None, Failure]]]:
        events: list[tuple[Record, Event]] = []
        failures: list[tuple[Record, Event | None, Failure]] = []
        for r in batch:
            try:
                events.append((r, from_record(r.position, r.key, r.value, r.headers, r.timestamp_ms)))
            except Rejected as rejected:
                failures.append((r, None, rejected))
        return events, failures

    def _settle(self, record: Record, event: Event | None, failure: Failure) -> None:
        """Nothing is lost: the record goes to its dead-letter topic whole, and who asked is told."""
        self._log.warning("refused", at=record.position, code=failure.code, why=failure.message)
        headers = dict(record.headers) | {
            name: text.encode() for name, text in dead_letter_headers(record, failure).items()
        }
        self._sink.send_raw(dead_letter_topic(record.topic), record.key, record.value, headers)
        self._job.tell(record, event, failure)

    def _until_available(self, attempt: Callable[[], None], stop: Stop) -> None:
        """Attempt until it works, holding the batch meanwhile; gives up, uncommitted, when told to stop."""
        pause = FIRST_PAUSE
        while not stop.now:
            try:
                return attempt()
            except Unavailable as away:
                self._log.warning("holding", why=str(away), seconds=round(pause, 1))
                self._source.hold(pause * random.uniform(0.8, 1.2))
                self._heartbeat.beat()
                pause = min(pause * 2, LONGEST_PAUSE)


def dead_letter_headers(record: Record, failure: Failure) -> dict[str, str]:
    """What a dead letter says besides its original bytes."""
    return {
        "dead-code": str(failure.code),
        "dead-class": type(failure).__name__,
        "dead-message": failure.message[:300],
        "dead-topic": record.topic,
        "dead-partition": str(record.partition),
        "dead-offset": str(record.offset),
        "dead-timestamp": str(record.timestamp_ms),
    }
