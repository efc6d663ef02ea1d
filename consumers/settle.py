"""Settling: the one place where it is decided what becomes of a record that failed.

Rejected    -> <topic>.dead, whole, with the reason
TryLater    -> <topic>.retry.5s, then .60s, then .600s, then <topic>.dead
"""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Protocol

import structlog

from infra.kafka import Record
from schemas.envelope import Event
from schemas.failures import Failure, TryLater
from schemas.topics import RETRY_DELAYS, dead_letter_topic, retry_topic

ATTEMPTS, NOT_BEFORE = "retry-attempts", "retry-not-before"
"""Headers of a record that waits: how often it was tried, and when it may be tried again (ms since 1970)."""
JITTER = 0.2
"""Waits differ by so much, either way, so that what failed together does not come back together."""
MESSAGE_LENGTH = 300


class RawSink(Protocol):
    """Takes records as they are; infra.kafka.EventSink is one."""

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


class Gate(Protocol):
    """Counts settled events and says when too many are refused; Valve and OpenValve are gates."""

    def count(self, record: Record, *, dead: bool) -> bool: ...


def as_it_is(text: str) -> str:
    """For settlers whose messages hold no secrets."""
    return text


def always(_record: Record) -> bool:
    """For settlers that settle every record."""
    return True


@dataclass(frozen=True)
class Origin:
    """Where a record first lay, how often it was tried, and since when: retries keep it in headers."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    attempts: int
    first_failed_at: str

    @property
    def position(self) -> str:
        """Where the record first lay, as topic/partition/offset: its identity."""
        return f"{self.topic}/{self.partition}/{self.offset}"


@dataclass
class Settler:
    """Sends failed records on. Dead letters name `worker` and `encoder`; `redact` masks secrets in what is told."""

    sink: RawSink
    tell: Callable[[Record, Event | None, Failure], None]
    gate: Gate
    worker: str = ""
    encoder: str = ""
    redact: Callable[[str], str] = as_it_is
    delays: Mapping[str, float] = field(default_factory=lambda: RETRY_DELAYS)
    """Seconds that each retry topic waits, by its suffix, shortest first; none: nothing is tried later."""
    patient_s: float = 900
    """How long a record may wait for a host that rests without losing attempts."""
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    settles: Callable[[Record], bool] = always
    """Whether a failed record is ours to send on, and not another index worker's."""

    def settle(self, record: Record, event: Event | None, failure: Failure | None) -> bool:
        """Send a record where it belongs, if it failed; whether so many have failed that it is time to stop."""
        if failure is None or not self.settles(record):
            return self.gate.count(record, dead=False)
        origin = origin_of(record, self.now())
        if isinstance(failure, TryLater) and (wait := self._next(failure, origin)) is not None:
            self._wait(record, *wait, failure)
            return False
        told = type(failure)(failure.code, self.redact(failure.message))
        self._bury(record, origin, told)
        self.tell(record, event, told)
        return self.gate.count(record, dead=True)

    def _next(self, failure: TryLater, origin: Origin) -> tuple[Origin, str] | None:
        """Where a record waits next, and what is said of it there; None when it has been through its retry topics.

        One that was not even tried has an attempt as good as new, and waits as long again as it has waited.
        """
        age = (self.now() - datetime.fromisoformat(origin.first_failed_at)).total_seconds()
        if not failure.tried and age < self.patient_s and self.delays:
            longer = [tier for tier, delay in self.delays.items() if delay >= age]
            return replace(origin, attempts=origin.attempts - 1), (longer or list(self.delays))[0 if longer else -1]
        tiers = list(self.delays)[: failure.tries]
        return (origin, tiers[origin.attempts - 1]) if origin.attempts <= len(tiers) else None

    def _wait(self, record: Record, origin: Origin, tier: str, failure: Failure) -> None:
        wait = self.delays[tier] * random.uniform(1 - JITTER, 1 + JITTER)
        due = round((self.now().timestamp() + wait) * 1000)
        structlog.get_logger().info("later", at=origin.position, code=failure.code, seconds=round(wait, 1))
        headers = _own(record) | _encoded(retry_headers(origin, due))
        self.sink.send_raw(retry_topic(origin.topic, tier), record.key, record.value, headers)

    def _bury(self, record: Record, origin: Origin, failure: Failure) -> None:
        structlog.get_logger().warning("refused", at=origin.position, code=failure.code, why=failure.message)
        said = dead_letter_headers(origin, failure, failure.message) | {
            "dead-worker": self.worker,
            "dead-encoder": self.encoder,
        }
        self.sink.send_raw(dead_letter_topic(origin.topic), record.key, record.value, _own(record) | _encoded(said))


def origin_of(record: Record, now: datetime) -> Origin:
    """Where a record first lay: what its retry headers say, else where it lies now, tried once."""
    told = {
        name.removeprefix("retry-"): value.decode("utf-8", "replace")
        for name, value in record.headers.items()
        if value is not None and name.startswith("retry-")
    }
    here = Origin(record.topic, record.partition, record.offset, record.timestamp_ms, 1, now.isoformat())
    if not record.topic.startswith(retry_topic(told.get("topic", ""), "")):
        return here  # these headers count in our own retry topics alone: anybody can write them elsewhere
    try:
        return Origin(
            told["topic"],
            int(told["partition"]),
            int(told["offset"]),
            int(told["timestamp"]),
            int(told["attempts"]) + 1,
            datetime.fromisoformat(told["first-failed-at"]).isoformat(),
        )
    except (KeyError, ValueError):
        return here


def due_time(record: Record) -> float:
    """When a record of a retry topic may be tried again, in seconds since 1970."""
    try:
        return int(record.headers.get(NOT_BEFORE) or b"0") / 1000
    except ValueError:
        return 0.0


def retry_headers(origin: Origin, due_ms: int) -> dict[str, str]:
    """What a waiting record says besides its original bytes and headers."""
    return {
        ATTEMPTS: str(origin.attempts),
        NOT_BEFORE: str(due_ms),
        "retry-topic": origin.topic,
        "retry-partition": str(origin.partition),
        "retry-offset": str(origin.offset),
        "retry-timestamp": str(origin.timestamp_ms),
        "retry-first-failed-at": origin.first_failed_at,
    }


def dead_letter_headers(origin: Origin, failure: Failure, message: str) -> dict[str, str]:
    """What a dead letter says besides its original bytes and headers."""
    return {
        "dead-code": str(failure.code),
        "dead-class": type(failure).__name__,
        "dead-message": message[:MESSAGE_LENGTH],
        "dead-topic": origin.topic,
        "dead-partition": str(origin.partition),
        "dead-offset": str(origin.offset),
        "dead-timestamp": str(origin.timestamp_ms),
        "dead-attempts": str(origin.attempts),
        "dead-first-failed-at": origin.first_failed_at,
    }


def _own(record: Record) -> dict[str, bytes | None]:
    """The headers with which a record came into the system."""
    return {name: value for name, value in record.headers.items() if not name.startswith(("retry-", "dead-"))}


def _encoded(headers: Mapping[str, str]) -> dict[str, bytes | None]:
    return {name: text.encode() for name, text in headers.items()}
