"""The audit of replays: what was sent again, when and by whom; in its topic, and in local mode in a file too."""

import getpass
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from infra.config.settings import KafkaSettings
from infra.kafka import EventSink, read_to_end
from schemas.audit import DeadLetterReplayed
from schemas.envelope import Event, from_bytes, to_bytes
from schemas.failures import Rejected
from schemas.topics import DEAD_LETTERS_AUDIT

FILE = "dead-letters-audit.jsonl"
"""The file's name in the data folder."""
SOURCE = "lookstream/dead-letters"


class Audit(Protocol):
    """Keeps notes of what was replayed; TopicAudit and FileAudit are audits."""

    def note(self, replayed: DeadLetterReplayed) -> None:
        """Keep a note; it is safe when this returns. Raises Unavailable."""


class TopicAudit:
    """Notes in the audit topic, keyed by position."""

    def __init__(self, sink: EventSink) -> None:
        self._sink = sink

    def note(self, replayed: DeadLetterReplayed) -> None:
        """Send a note and wait until the broker has it."""
        self._sink.send(DEAD_LETTERS_AUDIT, replayed.position, Event(replayed, source=SOURCE))
        self._sink.flush()


class FileAudit:
    """Notes in a file of the data folder: the local broker forgets its topics, and the kept letters stay."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def note(self, replayed: DeadLetterReplayed) -> None:
        """Add a line, on the disk before this returns."""
        with self._path.open("ab") as file:
            # A line that a crash cut off must not swallow this one.
            start = b"\n" if file.tell() and not _ends_well(self._path) else b""
            file.write(start + to_bytes(replayed) + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def read(self) -> Iterator[DeadLetterReplayed]:
        """Every note; a line that a crash cut off is none."""
        if self._path.exists():
            for line in self._path.read_bytes().splitlines():
                yield from _note_in(line)


def read_audit(kafka: KafkaSettings) -> Iterator[DeadLetterReplayed]:
    """Every note in the audit topic; raises Unavailable."""
    for record in read_to_end(kafka, [DEAD_LETTERS_AUDIT]):
        yield from _note_in(record.value or b"")


def replayed_id(note: DeadLetterReplayed) -> str:
    """The id of the letter that a note is about."""
    return f"{note.position}@{note.digest}"


def user() -> str:
    """The operating system's name for who runs this, else the number."""
    try:
        return getpass.getuser()[:100]
    except (KeyError, OSError):  # a container's user often has no name
        return str(os.getuid())


def _note_in(line: bytes) -> Iterator[DeadLetterReplayed]:
    try:
        note = from_bytes(line)
    except Rejected:
        return
    if isinstance(note, DeadLetterReplayed):
        yield note


def _ends_well(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read() == b"\n"
