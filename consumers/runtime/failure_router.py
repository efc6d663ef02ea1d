"""Failure router: sends each failed record to a retry topic or to the dead-letter topic, by its kind of failure.

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
    encode_headers,
    original_headers,
    read_origin,
    retry_headers,
)
from infra.kafka import OutgoingRecord, Record
from schemas.envelope import Event
from schemas.failures import Code, Failure, TryLater
from schemas.items import split_item_key
from schemas.topics import MAX_RECORD_BYTES, RETRY_DELAYS, dead_letter_topic, retry_topic, source_topic

JITTER = 0.2
"""Share by which a delay is longer or shorter, so that records that failed together do not return together."""
FRAMING_BYTES = 4_096
"""Upper bound of the bytes that the retry and dead-letter headers add to a record."""
TRUNCATED_BYTES = 1_024
"""Bytes of the key, the value and each header in a dead letter whose original record does not fit."""


class DeadLetterCounter(Protocol):
    """Counts dead letters by tenant; implemented by DeadLetterLimit and Unlimited."""

    def record_outcome(self, tenant: str, *, dead: bool) -> None: ...
    def is_set_aside(self, tenant: str) -> bool: ...


Report = Callable[[Record, Event | None, Failure], None]


def no_redaction(text: str) -> str:
    """Return the text unchanged: for routers whose messages hold no secrets."""
    return text


def owns_all(_record: Record) -> bool:
    """Return True: for routers that own every failure."""
    return True


@dataclass
class FailureRouter:
    """Routes failed records. Dead letters name `worker` and `encoder`; `redact` masks secrets in messages."""

    sink: RecordSink
    report: Report
    """Publishes that an event was dead-lettered."""
    limit: DeadLetterCounter
    worker: str = ""
    encoder: Callable[[], str] = str
    """Returns the fingerprint of the encoder in use."""
    redact: Callable[[str], str] = no_redaction
    delays: Mapping[str, float] = field(default_factory=lambda: RETRY_DELAYS)
    """Delay of each retry topic in seconds, by its suffix, shortest first; empty: nothing is retried."""
    max_untried_s: float = 900
    """How long a record may wait for a host with an open circuit breaker without using up attempts (seconds)."""
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    owns_failures: Callable[[Record], bool] = owns_all
    """Whether this worker, and not that of the other generation, routes a failed record."""
    record_bytes: int = MAX_RECORD_BYTES
    """Size of the largest record that Kafka accepts."""

    def stop_retries(self) -> None:
        """Send every failed record to its dead-letter topic from now on."""
        self.delays = {}

    def check_tenant(self, record: Record) -> Failure | None:
        """Return a failure if the tenant of the event is set aside for too many dead letters, else None."""
        tenant = tenant_of(record)
        if not self.limit.is_set_aside(tenant):
            return None
        text = f"too many events of tenant {tenant} were refused: this event waits, so that other tenants do not"
        return TryLater(Code.TENANT_SET_ASIDE, text, tried=False)

    def route(self, record: Record, event: Event | None, failure: Failure | None) -> None:
        """Send a failed record to its retry or dead-letter topic, and count the outcome for its tenant."""
        if failure is not None and not self.owns_failures(record):
            return
        was_set_aside = failure is not None and failure.code is Code.TENANT_SET_ASIDE
        if failure is None:
            self.limit.record_outcome(tenant_of(record), dead=False)
            return
        origin = read_origin(record, self.now())
        if isinstance(failure, TryLater) and (retry := self._next_retry(failure, origin)) and self._fits(record):
            return self._send_to_retry(record, *retry, failure)
        redacted = type(failure)(failure.code, self.redact(failure.message))
        self._send_to_dead_letters(record, origin, redacted)
        self.report(record, event, redacted)
        if event is not None and not was_set_aside:  # an unreadable record costs no work, so it is not counted
            self.limit.record_outcome(tenant_of(record), dead=True)

    def _next_retry(self, failure: TryLater, origin: Origin) -> tuple[Origin, str] | None:
        """Return the origin to write into the retry headers and the tier; None when all tiers are used up.

        A record that was not even tried keeps its attempt, and waits for about as long again as it has waited.
        """
        untried = replace(origin, attempts=origin.attempts - 1)
        if failure.code is Code.TENANT_SET_ASIDE and self.delays:
            return untried, list(self.delays)[-1]
        age = (self.now() - datetime.fromisoformat(origin.first_failed_at)).total_seconds()
        if not failure.tried and age < self.max_untried_s and self.delays:
            longer_tiers = [tier for tier, delay in self.delays.items() if delay >= age]
            return untried, (longer_tiers or list(self.delays))[0 if longer_tiers else -1]
        tiers = list(self.delays)[: failure.tries]
        return (origin, tiers[origin.attempts - 1]) if origin.attempts <= len(tiers) else None

    def _fits(self, record: Record) -> bool:
        """Whether a record with our headers fits into a topic; no client of ours sends one that does not."""
        return _size(record) + FRAMING_BYTES <= self.record_bytes

    def _send_to_retry(self, record: Record, origin: Origin, tier: str, failure: Failure) -> None:
        delay = self.delays[tier] * random.uniform(1 - JITTER, 1 + JITTER)
        due_ms = round((self.now().timestamp() + delay) * 1000)
        structlog.get_logger().info(
            "record sent to a retry topic", position=origin.position, code=failure.code, seconds=round(delay, 1)
        )
        headers = original_headers(record) | encode_headers(retry_headers(origin, due_ms))
        topic = retry_topic(source_topic(origin.topic), tier)
        self.sink.send_record(
            OutgoingRecord(topic, record.key, record.value, headers, source_position=record.position)
        )

    def _send_to_dead_letters(self, record: Record, origin: Origin, failure: Failure) -> None:
        structlog.get_logger().warning(
            "record dead-lettered", position=origin.position, code=failure.code, reason=failure.message
        )
        cause_headers = encode_headers(
            dead_letter_headers(origin, failure, failure.message)
            | {"dead-worker": self.worker, "dead-encoder": self.encoder()}
        )
        truncated = _truncated_dead_letter(record, dead_letter_topic(source_topic(origin.topic)), cause_headers)
        if self._fits(record):
            headers = original_headers(record) | cause_headers
            complete = replace(truncated, key=record.key, value=record.value, headers=headers, fallback=truncated)
            self.sink.send_record(complete)
        else:
            self.sink.send_record(truncated)


def tenant_of(record: Record) -> str:
    """Return the tenant in the key of a record; empty when the key names none."""
    try:
        return split_item_key((record.key or b"").decode())[0]
    except ValueError:
        return ""


def _size(record: Record) -> int:
    headers = sum(len(name) + len(value or b"") for name, value in record.headers.items())
    return len(record.key or b"") + len(record.value or b"") + headers


def _truncated_dead_letter(record: Record, topic: str, cause_headers: Mapping[str, bytes | None]) -> OutgoingRecord:
    """Build a dead letter that fits in any case: the first bytes of each part, and length and hash of the value."""
    value = record.value or b""
    headers = {
        name[:100]: content[:TRUNCATED_BYTES] if content else content
        for name, content in list(original_headers(record).items())[:20]
    }
    truncation_headers = {
        "dead-cut": "true",
        "dead-value-bytes": str(len(value)),
        "dead-value-sha256": hashlib.sha256(value).hexdigest(),
    }
    key = record.key[:TRUNCATED_BYTES] if record.key else record.key
    return OutgoingRecord(
        topic,
        key,
        value[:TRUNCATED_BYTES],
        headers | dict(cause_headers) | encode_headers(truncation_headers),
        source_position=record.position,
    )
