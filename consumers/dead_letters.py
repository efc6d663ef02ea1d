"""Dead letters: records that were refused, whole, with the reason; from their topics or the local file."""

import base64
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from infra.kafka import Record, TopicReader
from infra.settings import Kafka
from schemas.topics import ITEM_TOPICS, SEARCH_REQUESTS, dead_letter_topic

QUIET_SECONDS = 1.0
"""A topic has been read to its end when nothing came for so long: the local broker's own idea of the end
is a little off (DECISIONS.md)."""


@dataclass(frozen=True)
class DeadLetter:
    """One refused record: where it came from, why it was refused, and its original bytes."""

    topic: str
    partition: int
    offset: int
    code: str
    reason: str
    message: str
    key: bytes | None
    value: bytes | None
    headers: Mapping[str, str]
    """The original headers."""

    @property
    def position(self) -> str:
        """Where the record lay, as topic/partition/offset: its identity."""
        return f"{self.topic}/{self.partition}/{self.offset}"

    def to_json(self) -> str:
        """One line of the local file; bytes are base64."""
        return json.dumps(self.__dict__ | {"key": _encode(self.key), "value": _encode(self.value)})


def from_json(line: str) -> DeadLetter:
    """A dead letter from a line of the local file."""
    found = json.loads(line)
    return DeadLetter(**found | {"key": _decode(found["key"]), "value": _decode(found["value"])})


def from_record(record: Record) -> DeadLetter:
    """A dead letter from a record of a dead-letter topic."""
    texts = {name: value.decode("utf-8", "replace") for name, value in record.headers.items() if value is not None}
    return DeadLetter(
        topic=texts.get("dead-topic", record.topic),
        partition=int(texts.get("dead-partition", record.partition)),
        offset=int(texts.get("dead-offset", record.offset)),
        code=texts.get("dead-code", "unknown"),
        reason=texts.get("dead-class", "unknown"),
        message=texts.get("dead-message", ""),
        key=record.key,
        value=record.value,
        headers={name: text for name, text in texts.items() if not name.startswith("dead-")},
    )


def read_topics(kafka: Kafka) -> Iterator[DeadLetter]:
    """Every dead letter that Kafka holds now."""
    readers = [TopicReader(kafka, dead_letter_topic(source)) for source in (*ITEM_TOPICS, SEARCH_REQUESTS)]
    for reader in readers:
        reader.rewind()
    last = time.monotonic()
    while time.monotonic() - last < QUIET_SECONDS:
        for record in [reader.poll(QUIET_SECONDS / 20) for reader in readers]:
            if record is not None:
                last = time.monotonic()
                yield from_record(record)
    for reader in readers:
        reader.close()


def read_file(path: Path) -> list[DeadLetter]:
    """The dead letters that earlier runs of the local broker left; none when there is no file."""
    if not path.exists():
        return []
    return [from_json(line) for line in path.read_text().splitlines() if line]


def append(path: Path, letters: Iterable[DeadLetter]) -> int:
    """Keep dead letters in the local file; how many."""
    lines = [letter.to_json() + "\n" for letter in letters]
    if lines:
        with path.open("a") as file:
            file.writelines(lines)
    return len(lines)


def _encode(value: bytes | None) -> str | None:
    return None if value is None else base64.b64encode(value).decode()


def _decode(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)
