"""Replay audit: records what was replayed, when and by whom, in a topic and, in local mode, also in a file."""

import getpass
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from infra.config.kafka import KafkaSettings
from infra.kafka import EventSink, read_to_end
from schemas.audit import DeadLetterReplayed
from schemas.envelope import Event, from_bytes, to_bytes
from schemas.failures import Rejected
from schemas.topics import DEAD_LETTERS_AUDIT

FILE = "dead-letters-audit.jsonl"
"""The file's name in the data folder."""
SOURCE = "lookstream/dead-letters"


class Audit(Protocol):
    """Log of replayed letters; TopicAudit and FileAudit implement it."""

    def note(self, replayed: DeadLetterReplayed) -> None:
        """Write an event; it is durable when this returns. Raises Unavailable."""


class TopicAudit:
    """Audit in its topic, keyed by position."""

    def __init__(self, sink: EventSink) -> None:
        self._sink = sink

    def note(self, replayed: DeadLetterReplayed) -> None:
        """Send an event, and wait for the broker's acknowledgement."""
        self._sink.send(DEAD_LETTERS_AUDIT, replayed.position, Event(replayed, source=SOURCE))
        self._sink.flush()


class FileAudit:
    """Audit in a file of the data folder: the local broker loses its topics, but the stored letters remain."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def note(self, replayed: DeadLetterReplayed) -> None:
        """Append a line; it is synced to disk when this returns."""
        with self._path.open("ab") as file:
            # Start a new line if a crash truncated the last one.
            separator = b"\n" if file.tell() and not _ends_in_newline(self._path) else b""
            file.write(separator + to_bytes(replayed) + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def read(self) -> Iterator[DeadLetterReplayed]:
        """Every event; skips a line that a crash truncated."""
        if self._path.exists():
            for line in self._path.read_bytes().splitlines():
                yield from _parse_line(line)


def read_audit(kafka: KafkaSettings) -> Iterator[DeadLetterReplayed]:
    """Every event in the audit topic; raises Unavailable."""
    for record in read_to_end(kafka, [DEAD_LETTERS_AUDIT]):
        yield from _parse_line(record.value or b"")


def replayed_id(event: DeadLetterReplayed) -> str:
    """The id of the replayed letter."""
    return f"{event.position}@{event.digest}"


def user() -> str:
    """Name of the operating-system user, at most 100 characters; the user id where there is no name."""
    try:
        return getpass.getuser()[:100]
    except (KeyError, OSError):  # a container's user often has no name
        return str(os.getuid())


def _parse_line(line: bytes) -> Iterator[DeadLetterReplayed]:
    try:
        event = from_bytes(line)
    except Rejected:
        return
    if isinstance(event, DeadLetterReplayed):
        yield event


def _ends_in_newline(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read() == b"\n"
