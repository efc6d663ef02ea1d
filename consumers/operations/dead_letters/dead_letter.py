"""Dead letter: model of a rejected record, and reading dead letters from their topics."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from infra.config.kafka import KafkaSettings
from infra.kafka import Record, read_to_end
from schemas.moments import moment_at
from schemas.topics import ITEM_TOPICS, SEARCH_REQUESTS, dead_letter_topic

DEAD_LETTER_TOPICS = tuple(dead_letter_topic(source) for source in (*ITEM_TOPICS, SEARCH_REQUESTS))
HEADER_PREFIX = "dead-"
"""Prefix of the headers that the worker adds."""
FIRST_FAILED_HEADER = "replay-first-failed-at"
"""Header of a replayed record: the time of its first failure, before any replay."""


@dataclass(frozen=True)
class DeadLetter:
    """A rejected record: its position, the reason of the rejection, and its original bytes."""

    topic: str
    partition: int
    offset: int
    code: str
    reason: str
    """Class of the failure: Rejected, or TryLater when all retries failed."""
    message: str
    key: bytes | None
    value: bytes | None
    """None when the record had none, which deletes the item of its key, and in a letter `without_value`."""
    headers: Mapping[str, bytes | None]
    """The original headers."""
    digest: str
    """Hash of position, time, key and value, 8 hex digits; a recreated topic starts again at offset 0."""
    size: int | None
    """Length of the original value in bytes; None when the record had no value."""
    timestamp_ms: int = 0
    """Time of the original record, in milliseconds since 1970; 0 when unknown."""
    attempts: int = 1
    first_failed_at: str = ""
    """ISO time."""
    died_at_ms: int = 0
    """Time of the rejection, in milliseconds since 1970."""
    worker: str = ""
    encoder: str = ""
    is_cut: bool = False
    """Whether the value was truncated because the record did not fit."""

    @property
    def position(self) -> str:
        """Position of the original record, as topic/partition/offset."""
        return f"{self.topic}/{self.partition}/{self.offset}"

    @property
    def id(self) -> str:
        """Identity of the record. Letters of the same id are one record that an interrupted worker wrote twice."""
        return f"{self.position}@{self.digest}"

    @property
    def key_text(self) -> str | None:
        return None if self.key is None else self.key.decode("utf-8", "replace")

    @property
    def died_at(self) -> datetime:
        return moment_at(self.died_at_ms * 1000)

    @property
    def known_since(self) -> datetime:
        """Time of the first failure before any replay, by the clocks of workers; producers' clocks are not used."""
        times = (self.first_failed_at, (self.headers.get(FIRST_FAILED_HEADER) or b"").decode("utf-8", "replace"))
        return min([self.died_at, *filter(None, map(_parse_time, times))])

    def without_value(self) -> "DeadLetter":
        """A copy without the value, to save memory."""
        return replace(self, value=None)


def digest_of(record: Record) -> str:
    """Short hash that distinguishes a record from one at the same position of an earlier topic of that name."""
    parts = (record.position.encode(), str(record.timestamp_ms).encode(), record.key, record.value)
    content = b"".join(b"-" if part is None else b"%d:%b" % (len(part), part) for part in parts)
    return hashlib.sha256(content).hexdigest()[:8]


def from_record(record: Record) -> DeadLetter:
    """Parse a record of a dead-letter topic."""
    fields = {
        name.removeprefix(HEADER_PREFIX): value.decode("utf-8", "replace")
        for name, value in record.headers.items()
        if value is not None and name.startswith(HEADER_PREFIX)
    }
    position = _int_or(fields.get("partition"), record.partition), _int_or(fields.get("offset"), record.offset)
    timestamp_ms = _int_or(fields.get("timestamp"), 0)
    original = Record(
        fields.get("topic", record.topic), *position, record.key, record.value, timestamp_ms=timestamp_ms
    )
    return DeadLetter(
        topic=original.topic,
        partition=original.partition,
        offset=original.offset,
        code=fields.get("code", "unknown"),
        reason=fields.get("class", "unknown"),
        message=fields.get("message", ""),
        key=record.key,
        value=record.value,
        headers={name: value for name, value in record.headers.items() if not name.startswith(HEADER_PREFIX)},
        digest=digest_of(original),
        size=None if record.value is None else _int_or(fields.get("value-bytes"), len(record.value)),
        timestamp_ms=timestamp_ms,
        attempts=_int_or(fields.get("attempts"), 1),
        first_failed_at=fields.get("first-failed-at", ""),
        died_at_ms=record.timestamp_ms,
        worker=fields.get("worker", ""),
        encoder=fields.get("encoder", ""),
        is_cut=fields.get("cut") == "true",
    )


def read_topics(kafka: KafkaSettings) -> Iterator[DeadLetter]:
    """Every dead letter that Kafka holds now, with duplicates; raises Unavailable."""
    return map(from_record, read_to_end(kafka, DEAD_LETTER_TOPICS))


def latest(letters: Iterable[DeadLetter]) -> dict[str, DeadLetter]:
    """The latest version of each letter by id, without values."""
    newest: dict[str, DeadLetter] = {}
    for letter in letters:
        if letter.id not in newest or letter.died_at_ms >= newest[letter.id].died_at_ms:
            newest[letter.id] = letter.without_value()
    return newest


def _int_or(text: str | None, default: int) -> int:
    """Parse an integer in a header, or return `default`: any client can write headers."""
    try:
        return default if text is None else int(text)
    except ValueError:
        return default


def _parse_time(text: str) -> datetime | None:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)
