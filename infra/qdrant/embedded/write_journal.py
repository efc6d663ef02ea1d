"""Write journal: record the writes to a shard after a copy was made, so that the copy can replay them.

Each entry is the length of a request (8 bytes, little-endian) and the request, encoded as on the socket (wire.py).
The serving process writes the journal, and its successor reads it.
"""

from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from infra.qdrant.embedded.client import Request
from infra.qdrant.embedded.wire import decode, encode

LENGTH_BYTES = 8


class WriteJournal:
    """Appends requests in order."""

    def __init__(self, path: Path) -> None:
        self._file: BinaryIO = path.open("wb", buffering=0)

    def append(self, request: Request) -> None:
        """Append a request that was executed."""
        method, arguments = request
        entry = encode([method, arguments])
        self._file.write(len(entry).to_bytes(LENGTH_BYTES, "little") + entry)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class JournalReader:
    """Reads a journal while another process appends to it."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        self.offset = 0
        """Offset in bytes after the last replayed entry."""

    def replay(self, execute: Callable[[Request], object]) -> int:
        """Execute the requests that were appended since the last call; return their number."""
        count = 0
        while (entry := self._next_entry()) is not None:
            method, arguments = decode(entry)
            execute((method, arguments))
            count += 1
        return count

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _next_entry(self) -> bytes | None:
        """Return the next entry, or None if it is missing or incomplete."""
        self._file.seek(self.offset)
        header = self._file.read(LENGTH_BYTES)
        length = int.from_bytes(header, "little")
        entry = self._file.read(length)
        if len(header) < LENGTH_BYTES or len(entry) < length:
            return None
        self.offset += LENGTH_BYTES + length
        return entry
