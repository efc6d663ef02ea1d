"""Retry headers: read and write the headers of records in retry topics and of dead letters."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from infra.kafka import Record
from schemas.failures import Failure
from schemas.topics import RETRY_DELAYS, source_topic

ATTEMPTS, NOT_BEFORE = "retry-attempts", "retry-not-before"
"""Headers with the number of attempts so far, and the earliest time of the next one (ms since 1970)."""
MESSAGE_LENGTH = 300
MAX_DELAY_SECONDS = 2 * max(RETRY_DELAYS.values())
"""Upper bound of the delay that a retry header may ask for."""
SKEW_SECONDS = 600.0
"""Tolerance for the clocks of producers and brokers."""


@dataclass(frozen=True)
class Origin:
    """The first position of a record, its attempts, and when it first failed: retries carry it in headers."""

    topic: str
    """A retry topic if the record was written there directly, and not by a worker."""
    partition: int
    offset: int
    timestamp_ms: int
    attempts: int
    first_failed_at: str
    """ISO 8601, with a time zone."""

    @property
    def position(self) -> str:
        """The first position of the record as topic/partition/offset, which identifies it."""
        return f"{self.topic}/{self.partition}/{self.offset}"


def read_origin(record: Record, now: datetime) -> Origin:
    """Read the origin from the retry headers of a record; without valid ones: its current position, 1 attempt."""
    retry_values = {
        name.removeprefix("retry-"): value.decode("utf-8", "replace")
        for name, value in record.headers.items()
        if value is not None and name.startswith("retry-")
    }
    current = Origin(record.topic, record.partition, record.offset, record.timestamp_ms, 1, now.isoformat())
    source = source_topic(record.topic)
    if source == record.topic or source_topic(retry_values.get("topic", "")) != source:
        return current  # retry headers count in retry topics only: in others any producer can write them
    try:
        first_failed_at = datetime.fromisoformat(retry_values["first-failed-at"])
        return Origin(
            retry_values["topic"],
            _parse_int64(retry_values["partition"]),
            _parse_int64(retry_values["offset"]),
            _parse_int64(retry_values["timestamp"]),
            max(0, _parse_int64(retry_values["attempts"])) + 1,
            (first_failed_at if first_failed_at.tzinfo else now).isoformat(),
        )
    except (KeyError, ValueError):
        return current


def _parse_int64(text: str) -> int:
    """Parse a signed 64-bit integer; raises ValueError. Python refuses to print more than 4,300 digits."""
    if not -(2**63) <= (number := int(text)) < 2**63:
        raise ValueError("no number of 64 bits")
    return number


def due_time(record: Record) -> float:
    """Return when a record of a retry topic may be tried again, in seconds since 1970.

    Any producer with access to the topic can write these headers. A record that asks for a delay of more than
    MAX_DELAY_SECONDS after its own timestamp is due at once, so that it cannot delay the records behind it.
    """
    try:
        due = int(record.headers.get(NOT_BEFORE) or b"0") / 1000
    except (ValueError, OverflowError):
        return 0.0
    sent = record.timestamp_ms / 1000
    return due if due <= sent + MAX_DELAY_SECONDS and sent <= time.time() + SKEW_SECONDS else 0.0


def retry_headers(origin: Origin, due_ms: int) -> dict[str, str]:
    """Build the headers that a record in a retry topic has in addition to its original ones."""
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
    """Build the headers that a dead letter has in addition to its original ones."""
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


def original_headers(record: Record) -> dict[str, bytes | None]:
    """Return the original headers of a record, without ours."""
    return {name: value for name, value in record.headers.items() if not name.startswith(("retry-", "dead-"))}


def encode_headers(headers: Mapping[str, str]) -> dict[str, bytes | None]:
    """Encode header values as UTF-8, as Kafka headers are bytes."""
    return {name: text.encode("utf-8", "replace") for name, text in headers.items()}
