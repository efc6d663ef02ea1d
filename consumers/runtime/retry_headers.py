"""Headers of records that wait for another try, and of dead letters."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from infra.kafka import Record
from schemas.failures import Failure
from schemas.topics import RETRY_DELAYS, source_topic

ATTEMPTS, NOT_BEFORE = "retry-attempts", "retry-not-before"
"""How often a waiting record was tried, and when it may be tried again (ms since 1970)."""
MESSAGE_LENGTH = 300
LONGEST_SECONDS = 2 * max(RETRY_DELAYS.values())
"""No record waits for longer."""
SKEW_SECONDS = 600.0
"""Clocks of producers and brokers may differ from ours by so much."""


@dataclass(frozen=True)
class Origin:
    """Where a record first lay, how often it was tried, and since when: retries keep it in headers."""

    topic: str
    """A retry topic, where somebody else than a worker wrote the record there."""
    partition: int
    offset: int
    timestamp_ms: int
    attempts: int
    first_failed_at: str

    @property
    def position(self) -> str:
        """Where the record first lay, as topic/partition/offset: its identity."""
        return f"{self.topic}/{self.partition}/{self.offset}"


def origin_of(record: Record, now: datetime) -> Origin:
    """Where a record first lay: what its retry headers say, else where it lies now, tried once."""
    found = {
        name.removeprefix("retry-"): value.decode("utf-8", "replace")
        for name, value in record.headers.items()
        if value is not None and name.startswith("retry-")
    }
    here = Origin(record.topic, record.partition, record.offset, record.timestamp_ms, 1, now.isoformat())
    source = source_topic(record.topic)
    if source == record.topic or source_topic(found.get("topic", "")) != source:
        return here  # these headers count in our own retry topics alone: anybody can write them elsewhere
    try:
        first_failed_at = datetime.fromisoformat(found["first-failed-at"])
        return Origin(
            found["topic"],
            _number(found["partition"]),
            _number(found["offset"]),
            _number(found["timestamp"]),
            max(0, _number(found["attempts"])) + 1,
            (first_failed_at if first_failed_at.tzinfo else now).isoformat(),
        )
    except (KeyError, ValueError):
        return here


def _number(text: str) -> int:
    """A whole number of 64 bits; raises ValueError. Python writes no number of more than 4,300 digits."""
    if not -(2**63) <= (number := int(text)) < 2**63:
        raise ValueError("no number of 64 bits")
    return number


def due_time(record: Record) -> float:
    """When a record of a retry topic may be tried again, in seconds since 1970.

    Anybody who may produce there writes these headers: what asks for a longer wait than the longest of ours, by the
    record's own time, is due at once, so that it cannot hold up those behind it.
    """
    try:
        due = int(record.headers.get(NOT_BEFORE) or b"0") / 1000
    except (ValueError, OverflowError):
        return 0.0
    sent = record.timestamp_ms / 1000
    return due if due <= sent + LONGEST_SECONDS and sent <= time.time() + SKEW_SECONDS else 0.0


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


def own_headers(record: Record) -> dict[str, bytes | None]:
    """The headers with which a record came into the system."""
    return {name: value for name, value in record.headers.items() if not name.startswith(("retry-", "dead-"))}


def encoded(headers: Mapping[str, str]) -> dict[str, bytes | None]:
    """Headers as Kafka carries them."""
    return {name: text.encode("utf-8", "replace") for name, text in headers.items()}
