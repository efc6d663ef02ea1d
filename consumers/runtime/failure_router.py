"""The failure router: the one place where it is decided what becomes of a record that failed.

Rejected    -> <topic>.dead, whole, with the reason
TryLater    -> <topic>.retry.5s, then .60s, then .600s, then <topic>.dead
"""

import hashlib
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Protocol

import structlog

from consumers.runtime.ports import RecordSink
from consumers.runtime.retry_headers import (
    Origin,
    dead_letter_headers,
    encoded,
    origin_of,
    own_headers,
    retry_headers,
)
from infra.kafka import OutgoingRecord, Record
from schemas.envelope import Event
from schemas.failures import Code, Failure, TryLater
from schemas.items import split_item_key
from schemas.topics import MAX_RECORD_BYTES, RETRY_DELAYS, dead_letter_topic, retry_topic, source_topic

JITTER = 0.2
"""Waits differ by so much, either way, so that what failed together does not come back together."""
FRAMING_BYTES = 4_096
"""What our own headers add to a record."""
FIRST_BYTES = 1_024
"""How much is kept of what does not fit into a dead letter."""


class DeadLetterCounter(Protocol):
    """Counts dead letters by tenant; DeadLetterLimit and Unlimited are two."""

    def count(self, tenant: str, *, dead: bool) -> None: ...
    def is_set_aside(self, tenant: str) -> bool: ...


Report = Callable[[Record, Event | None, Failure], None]


def as_is(text: str) -> str:
    """For routers whose messages hold no secrets."""
    return text


def always(_record: Record) -> bool:
    """For routers that own every failure."""
    return True


@dataclass
class FailureRouter:
    """Sends failed records on. Dead letters name `worker` and `encoder`; `redact` masks secrets in messages."""

    sink: RecordSink
    report: Report
    """Publishes that an event was refused for good."""
    limit: DeadLetterCounter
    worker: str = ""
    encoder: Callable[[], str] = str
    """The fingerprint of the encoder that works now."""
    redact: Callable[[str], str] = as_is
    delays: Mapping[str, float] = field(default_factory=lambda: RETRY_DELAYS)
    """Seconds that each retry topic waits, by its suffix, shortest first; none: nothing is tried later."""
    patience_s: float = 900
    """How long a record may wait for a host that rests without losing attempts."""
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    owns_failures: Callable[[Record], bool] = always
    """Whether a failed record is ours to send on, and not another index worker's."""
    record_bytes: int = MAX_RECORD_BYTES
    """The largest record that Kafka takes."""

    def set_aside(self, record: Record, event: Event) -> Failure | None:
        """Why an event is not handled now: its tenant floods us with events that fail."""
        tenant = tenant_of(record)
        if not self.limit.is_set_aside(tenant):
            return None
        text = f"too many events of tenant {tenant} were refused: this one waits, so that others need not"
        return TryLater(Code.TENANT_SET_ASIDE, text, tried=False)

    def route(self, record: Record, event: Event | None, failure: Failure | None) -> None:
        """Send a record where it belongs, if it failed."""
        if failure is not None and not self.owns_failures(record):
            return
        waits = failure is not None and failure.code is Code.TENANT_SET_ASIDE
        if failure is None:
            self.limit.count(tenant_of(record), dead=False)
            return
        origin = origin_of(record, self.now())
        if isinstance(failure, TryLater) and (tier := self._next(failure, origin)) and self._fits(record):
            return self._wait(record, *tier, failure)
        told = type(failure)(failure.code, self.redact(failure.message))
        self._bury(record, origin, told)
        self.report(record, event, told)
        if event is not None and not waits:  # what cannot be read costs nothing, so it counts for nothing
            self.limit.count(tenant_of(record), dead=True)

    def _next(self, failure: TryLater, origin: Origin) -> tuple[Origin, str] | None:
        """Where a record waits next, and what is said of it there; None when it has been through its retry topics.

        One that was not even tried has an attempt as good as new, and waits as long again as it has waited.
        """
        untried = replace(origin, attempts=origin.attempts - 1)
        if failure.code is Code.TENANT_SET_ASIDE and self.delays:
            return untried, list(self.delays)[-1]
        age = (self.now() - datetime.fromisoformat(origin.first_failed_at)).total_seconds()
        if not failure.tried and age < self.patience_s and self.delays:
            longer = [tier for tier, delay in self.delays.items() if delay >= age]
            return untried, (longer or list(self.delays))[0 if longer else -1]
        tiers = list(self.delays)[: failure.tries]
        return (origin, tiers[origin.attempts - 1]) if origin.attempts <= len(tiers) else None

    def _fits(self, record: Record) -> bool:
        """Whether it fits into a retry or dead-letter topic; one that does not came from no client of ours."""
        return _size(record) + FRAMING_BYTES <= self.record_bytes

    def _wait(self, record: Record, origin: Origin, tier: str, failure: Failure) -> None:
        wait = self.delays[tier] * random.uniform(1 - JITTER, 1 + JITTER)
        due = round((self.now().timestamp() + wait) * 1000)
        structlog.get_logger().info("later", at=origin.position, code=failure.code, seconds=round(wait, 1))
        headers = own_headers(record) | encoded(retry_headers(origin, due))
        topic = retry_topic(source_topic(origin.topic), tier)
        self.sink.send_record(OutgoingRecord(topic, record.key, record.value, headers, cause=record.position))

    def _bury(self, record: Record, origin: Origin, failure: Failure) -> None:
        structlog.get_logger().warning("refused", at=origin.position, code=failure.code, why=failure.message)
        about = encoded(
            dead_letter_headers(origin, failure, failure.message)
            | {"dead-worker": self.worker, "dead-encoder": self.encoder()}
        )
        cut = _cut(record, dead_letter_topic(source_topic(origin.topic)), about)
        if self._fits(record):
            headers = own_headers(record) | about
            whole = replace(cut, key=record.key, value=record.value, headers=headers, fallback=cut)
            self.sink.send_record(whole)
        else:
            self.sink.send_record(cut)


def tenant_of(record: Record) -> str:
    """The tenant that a record's key names; empty for a key that names none."""
    try:
        return split_item_key((record.key or b"").decode())[0]
    except ValueError:
        return ""


def _size(record: Record) -> int:
    headers = sum(len(name) + len(value or b"") for name, value in record.headers.items())
    return len(record.key or b"") + len(record.value or b"") + headers


def _cut(record: Record, topic: str, about: Mapping[str, bytes | None]) -> OutgoingRecord:
    """A dead letter that certainly fits: the first bytes of each part, and what tells the whole by."""
    value = record.value or b""
    headers = {
        name[:100]: content[:FIRST_BYTES] if content else content
        for name, content in list(own_headers(record).items())[:20]
    }
    facts = {
        "dead-cut": "true",
        "dead-value-bytes": str(len(value)),
        "dead-value-sha256": hashlib.sha256(value).hexdigest(),
    }
    key = record.key[:FIRST_BYTES] if record.key else record.key
    return OutgoingRecord(
        topic, key, value[:FIRST_BYTES], headers | dict(about) | encoded(facts), cause=record.position
    )
