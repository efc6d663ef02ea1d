"""What a dead letter is, and reading them from their topics."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from infra.config.settings import KafkaSettings
from infra.kafka import Record, read_to_end
from schemas.moments import moment_at
from schemas.topics import ITEM_TOPICS, SEARCH_REQUESTS, dead_letter_topic

DEAD_LETTER_TOPICS = tuple(dead_letter_topic(source) for source in (*ITEM_TOPICS, SEARCH_REQUESTS))
OURS = "dead-"
"""How the headers begin that the worker adds."""
FIRST_FAILED = "replay-first-failed-at"
"""Header of a replayed record: when it first failed, however often it has been replayed since."""


@dataclass(frozen=True)
class DeadLetter:
    """One refused record: where it came from, why it was refused, and its original bytes."""

    topic: str
    partition: int
    offset: int
    code: str
    reason: str
    """Its failure's class: Rejected, or TryLater when it was tried in vain."""
    message: str
    key: bytes | None
    value: bytes | None
    """None when the record had none, which deletes the item of its key; and in a letter made `light`."""
    headers: Mapping[str, bytes | None]
    """The original headers."""
    digest: str
    """Of position, time, key and value, 8 hex digits: a topic that was made anew counts from 0 again."""
    size: int | None
    """Bytes of the original value; none when it had none."""
    timestamp_ms: int = 0
    """The original record's time, in milliseconds since 1970; 0 when it is not known."""
    attempts: int = 1
    first_failed_at: str = ""
    """ISO time."""
    died_at_ms: int = 0
    """When it was refused, in milliseconds since 1970."""
    worker: str = ""
    encoder: str = ""
    is_cut: bool = False
    """Whether it holds but the beginning of a record that did not fit."""

    @property
    def position(self) -> str:
        """Where the record lay, as topic/partition/offset."""
        return f"{self.topic}/{self.partition}/{self.offset}"

    @property
    def id(self) -> str:
        """Its identity. Letters of one id are the same record, written twice by a worker that was interrupted."""
        return f"{self.position}@{self.digest}"

    @property
    def key_text(self) -> str | None:
        """The key as text."""
        return None if self.key is None else self.key.decode("utf-8", "replace")

    @property
    def died_at(self) -> datetime:
        """When it was refused."""
        return moment_at(self.died_at_ms * 1000)

    @property
    def known_since(self) -> datetime:
        """When it first failed by the clocks of workers, before any replay; producers' clocks do not count."""
        told = (self.first_failed_at, (self.headers.get(FIRST_FAILED) or b"").decode("utf-8", "replace"))
        return min([self.died_at, *filter(None, map(_moment, told))])

    def light(self) -> "DeadLetter":
        """The same without its value, for when there are many."""
        return replace(self, value=None)


def digest_of(record: Record) -> str:
    """Tells a record from another one that lay at the same position of an earlier topic."""
    parts = (record.position.encode(), str(record.timestamp_ms).encode(), record.key, record.value)
    told = b"".join(b"-" if part is None else b"%d:%b" % (len(part), part) for part in parts)
    return hashlib.sha256(told).hexdigest()[:8]


def from_record(record: Record) -> DeadLetter:
    """A dead letter from a record of a dead-letter topic."""
    told = {
        name.removeprefix(OURS): value.decode("utf-8", "replace")
        for name, value in record.headers.items()
        if value is not None and name.startswith(OURS)
    }
    position = _whole(told.get("partition"), record.partition), _whole(told.get("offset"), record.offset)
    written = _whole(told.get("timestamp"), 0)
    original = Record(told.get("topic", record.topic), *position, record.key, record.value, timestamp_ms=written)
    return DeadLetter(
        topic=original.topic,
        partition=original.partition,
        offset=original.offset,
        code=told.get("code", "unknown"),
        reason=told.get("class", "unknown"),
        message=told.get("message", ""),
        key=record.key,
        value=record.value,
        headers={name: value for name, value in record.headers.items() if not name.startswith(OURS)},
        digest=digest_of(original),
        size=None if record.value is None else _whole(told.get("value-bytes"), len(record.value)),
        timestamp_ms=written,
        attempts=_whole(told.get("attempts"), 1),
        first_failed_at=told.get("first-failed-at", ""),
        died_at_ms=record.timestamp_ms,
        worker=told.get("worker", ""),
        encoder=told.get("encoder", ""),
        is_cut=told.get("cut") == "true",
    )


def read_topics(kafka: KafkaSettings) -> Iterator[DeadLetter]:
    """Every dead letter that Kafka holds now, as often as it lies there; raises Unavailable."""
    return map(from_record, read_to_end(kafka, DEAD_LETTER_TOPICS))


def latest(letters: Iterable[DeadLetter]) -> dict[str, DeadLetter]:
    """The letters by id, light, each as it was written last."""
    found: dict[str, DeadLetter] = {}
    for letter in letters:
        if letter.id not in found or letter.died_at_ms >= found[letter.id].died_at_ms:
            found[letter.id] = letter.light()
    return found


def _whole(text: str | None, otherwise: int) -> int:
    """A number in a header; anybody can write headers."""
    try:
        return otherwise if text is None else int(text)
    except ValueError:
        return otherwise


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
