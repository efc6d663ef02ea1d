"""Crash ledger: a file of the records in progress, by which a restarted worker finds a poison pill.

The file needs no fsync: the page cache outlives the process, and only a crash of the machine loses the last write.
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
"""Linux copies each page of a write as a whole: a kill cannot split it (generic_perform_write)."""
MAX_CRASHES = 3
"""A record that was in progress alone at this many crashes of the worker is dead-lettered."""


class CrashLedger:
    """Records what is in progress before it is processed, for the next start; a `path` of None records nothing."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._crashes: dict[str, int] = {}
        self._failed = False
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._crashes = _read_crashes(path)
            self._write(())

    @property
    def suspect_count(self) -> int:
        """How many records may have crashed the worker."""
        return len(self._crashes)

    def split(self, batch: Sequence[Record]) -> list[list[Record]]:
        """Split a batch into parts to be handled one after the other, in order, with each suspect alone.

        A commit after a part covers all records before it, so the order of the parts must not change.
        """
        groups = groupby(batch, key=lambda record: record.position if record.position in self._crashes else None)
        return [list(part) for _, part in groups]

    def has_suspects(self, batch: Sequence[Record]) -> bool:
        """Whether any of these records may have crashed the worker."""
        return any(record.position in self._crashes for record in batch)

    def is_poison_pill(self, record: Record) -> bool:
        """Whether this record was in progress alone at too many crashes of the worker."""
        return self._crashes.get(record.position, 0) >= MAX_CRASHES

    @contextmanager
    def in_progress(self, part: Sequence[Record]) -> Iterator[None]:
        """Record that these are in progress during the block; a Fault that no record caused clears the entry."""
        self._write(part)
        try:
            yield
        except RecordRefused:
            raise
        except Fault:
            self._write(())
            raise
        self._write(())

    def clear_suspects(self, records: Sequence[Record]) -> None:
        """Clear these records of suspicion: they were processed."""
        for record in records:
            self._crashes.pop(record.position, None)

    def _write(self, part: Sequence[Record]) -> None:
        if self._path is None:
            return
        content = {"deaths": self._crashes, "in_hand": [record.position for record in part]}
        try:
            _write_file(self._path, json.dumps(content).encode())
        except OSError as error:  # a full disk loses this entry, but must not stop the work
            if not self._failed:
                structlog.get_logger().error("crash ledger not written", path=str(self._path), reason=str(error))
            self._failed = True
        else:
            self._failed = False


def _write_file(path: Path, content: bytes) -> None:
    """Replace the content of the file; within a page in place: no kill splits it, and it takes a tenth as long."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "wb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        if max(size, len(content)) <= PAGE_BYTES:
            file.write(content.ljust(size))  # JSON may end in spaces
            return
    draft = path.with_suffix(".new")
    draft.write_bytes(content)
    draft.replace(path)


def _read_crashes(path: Path) -> dict[str, int]:
    """Count by position the crashes with only that record in progress; 0 for one of several at the last crash."""
    try:
        content = json.loads(path.read_text())
        crashes: dict[str, int] = {str(position): int(count) for position, count in content["deaths"].items()}
        in_progress: list[str] = [str(position) for position in content["in_hand"]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
    alone = len(in_progress) == 1
    return crashes | {position: crashes.get(position, 0) + (1 if alone else 0) for position in in_progress}
