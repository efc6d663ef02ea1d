"""Ingest report: a file with a line for each row of a feed: its place, its item, and its result."""

import csv
import json
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TextIO

from infra.config.errors import BadInput


@dataclass(frozen=True)
class ReportLine:
    """One line of a report; parts that are not known are empty."""

    line: int = 0
    """Line of the row in its feed, from 1; 0 if the row is a file."""
    item_id: str = ""
    outcome: str = ""
    """indexed, removed, blocked, superseded or rejected; sent, while no outcome is known; valid, in a check; bad or
    skipped for a row that was not sent; left_out, on a line of its own, for a fact that is not in its event."""
    code: str = ""
    """Code of a rejection."""
    message: str = ""


class IngestReport:
    """Writes a report as JSON, one object a line; as CSV if the file is called so. Thread-safe.

    An error on writing does not end the run: `error` has its reason, and the report is incomplete.
    """

    def __init__(self, path: Path) -> None:
        """Replace the file; raises BadInput if it cannot be written."""
        try:
            self._file: TextIO = path.open("w", encoding="utf-8", errors="backslashreplace", newline="")
        except OSError as error:
            raise BadInput(f"--report {path} cannot be written: {(error.strerror or 'unknown').lower()}") from None
        self._lock = threading.Lock()
        self._table = csv.writer(self._file) if path.suffix.lower() == ".csv" else None
        self.error = ""
        if self._table is not None:
            self._table.writerow(field.name for field in fields(ReportLine))

    def write(self, entry: ReportLine) -> None:
        """Add a line."""
        values: Mapping[str, object] = asdict(entry)
        with self._lock:
            try:
                if self._table is not None:
                    self._table.writerow(_cell(value) for value in values.values())
                else:
                    known = {name: value for name, value in values.items() if value}
                    self._file.write(json.dumps(known, ensure_ascii=False) + "\n")
            except OSError as error:
                self.error = self.error or (error.strerror or "unknown").lower()

    def close(self) -> None:
        """Write the remaining lines, and close the file."""
        with self._lock:
            try:
                self._file.close()
            except OSError as error:
                self.error = self.error or (error.strerror or "unknown").lower()


def _cell(value: object) -> str:
    """A cell of a table; a spreadsheet takes a text that begins with = + - or @ for a formula, so it gets a '."""
    text = "" if value in (0, None) else str(value)
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
