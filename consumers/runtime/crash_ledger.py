"""The crash ledger: which records a worker held when it died, so that a deadly one is found and set aside.

The file needs no fsync: what was written outlives the process that wrote it, and only the machine's death loses it.
"""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path

import structlog

from infra.kafka import Record, RecordRefused
from schemas.failures import Fault

PAGE_BYTES = 4_096
"""Linux copies a page of a write as a whole: a process is not killed in the midst of it (generic_perform_write)."""
LIVES = 3
"""A record that was in progress, alone, when the worker died so often is dead-lettered."""


class CrashLedger:
    """Notes what is in progress before it is touched; read at the next start. `path` of None notes nothing."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._deaths: dict[str, int] = {}
        self._failed = False
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._deaths = _read(path)
            self._write(())

    @property
    def suspects(self) -> int:
        """How many records may have killed the worker."""
        return len(self._deaths)

    def split(self, batch: Sequence[Record]) -> list[list[Record]]:
        """The batch in parts to handle one after the other: every suspect alone, and all in their order.

        What is committed after a part says that all before it is done, so no part may come before an earlier one.
        """
        groups = groupby(batch, key=lambda record: record.position if record.position in self._deaths else None)
        return [list(part) for _, part in groups]

    def suspects_in(self, batch: Sequence[Record]) -> bool:
        """Whether any of these may have killed the worker."""
        return any(record.position in self._deaths for record in batch)

    def is_deadly(self, record: Record) -> bool:
        """Whether this record, alone, killed the worker too often."""
        return self._deaths.get(record.position, 0) >= LIVES

    @contextmanager
    def in_progress(self, part: Sequence[Record]) -> Iterator[None]:
        """Note these records while they are worked on; a fault that is no record's clears the note."""
        self._write(part)
        try:
            yield
        except RecordRefused:
            raise
        except Fault:
            self._write(())
            raise
        self._write(())

    def survived(self, records: Sequence[Record]) -> None:
        """These were done; a suspect among them is none any more."""
        for record in records:
            self._deaths.pop(record.position, None)

    def _write(self, part: Sequence[Record]) -> None:
        if self._path is None:
            return
        note = {"deaths": self._deaths, "in_hand": [record.position for record in part]}
        try:
            _write_note(self._path, json.dumps(note).encode())
        except OSError as error:  # a full disk costs this note, and no work
            if not self._failed:
                structlog.get_logger().error("crash ledger not written", path=str(self._path), why=str(error))
            self._failed = True
        else:
            self._failed = False


def _write_note(path: Path, note: bytes) -> None:
    """Write a note over the one before: in place where no death leaves half of it, which takes a tenth as long."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "wb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        if max(size, len(note)) <= PAGE_BYTES:
            file.write(note.ljust(size))  # JSON may end in spaces
            return
    draft = path.with_suffix(".new")
    draft.write_bytes(note)
    draft.replace(path)


def _read(path: Path) -> dict[str, int]:
    """How often each record was in progress, alone, at a death; 0 for one that was among others at the last one."""
    try:
        note = json.loads(path.read_text())
        deaths: dict[str, int] = {str(name): int(count) for name, count in note["deaths"].items()}
        in_progress: list[str] = [str(name) for name in note["in_hand"]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
    alone = len(in_progress) == 1
    return deaths | {name: deaths.get(name, 0) + (1 if alone else 0) for name in in_progress}
