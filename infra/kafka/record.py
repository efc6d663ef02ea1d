"""Records: a record as read from Kafka, and a record to be sent."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from confluent_kafka import Message

Partition = tuple[str, int]
"""Topic and partition number."""


@dataclass(frozen=True)
class Record:
    """One record as read from Kafka."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Mapping[str, bytes | None] = field(default_factory=dict)
    timestamp_ms: int = 0

    @property
    def position(self) -> str:
        """Its position as topic/partition/offset."""
        return f"{self.topic}/{self.partition}/{self.offset}"

    @property
    def place(self) -> Partition:
        """Its topic and partition number."""
        return self.topic, self.partition


@dataclass(frozen=True)
class OutgoingRecord:
    """One record to send. Without `partition` the key selects it; a `timestamp_ms` of 0 means now."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Mapping[str, bytes | None] = field(default_factory=dict)
    partition: int | None = None
    timestamp_ms: int = 0
    source_position: str = ""
    """Position of the record that this one replies to or forwards; empty for none."""
    fallback: "OutgoingRecord | None" = None
    """Record to send instead if this one is refused: a shorter one, or one for a topic that certainly exists."""

    @property
    def size(self) -> int:
        """Size of key, value and headers in bytes."""
        headers = sum(len(name) + len(value or b"") for name, value in self.headers.items())
        return len(self.key or b"") + len(self.value or b"") + headers


def record_of(message: Message | None, prefix: str = "") -> Record | None:
    """The record of a message, with `prefix` removed from its topic; None for no message or an error event."""
    # A tombstone has length 0 and is falsy, so compare with None explicitly.
    if message is None or message.error() is not None:
        return None
    topic, partition, offset = message.topic(), message.partition(), message.offset()
    if topic is None or partition is None or offset is None:
        return None
    key, value = _bytes(message.key()), _bytes(message.value())
    return Record(
        topic.removeprefix(prefix), partition, offset, key, value, _headers(message), message.timestamp()[1]
    )


def _headers(message: Message) -> dict[str, bytes | None]:
    try:
        return {str(pair[0]): _bytes(pair[1]) for pair in message.headers() or []}
    except (UnicodeDecodeError, SystemError):  # the client decodes header names as UTF-8
        return {}


def next_offsets(records: Sequence[Record]) -> dict[Partition, int]:
    """For each partition the offset after its last record: the offset to commit."""
    ends: dict[Partition, int] = {}
    for record in records:
        ends[record.place] = max(ends.get(record.place, 0), record.offset + 1)
    return ends


def partition_of(position: str) -> Partition | None:
    """The partition of a position; None for an empty one."""
    topic, _, rest = position.partition("/")
    number = rest.partition("/")[0]
    return (topic, int(number)) if number.isdecimal() else None


def _bytes(value: str | bytes | None) -> bytes | None:
    return value.encode() if isinstance(value, str) else value
