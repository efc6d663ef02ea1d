"""The journal: what was written to a shard after a copy of it was taken, so that the copy can catch up.

Each entry is the length of a request (8 bytes, little end first) and the request, as it comes over the socket
(wire.py). The process that answers writes here, and its successor reads.
"""

from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from infra.qdrant.embedded.client import Request
from infra.qdrant.embedded.wire import decode, encode

LENGTH = 8


class WriteJournal:
    """Takes down requests in their order."""

    def __init__(self, path: Path) -> None:
        self._file: BinaryIO = path.open("wb", buffering=0)

    def note(self, request: Request) -> None:
        """Take a request down that was carried out."""
        method, arguments = request
        entry = encode([method, arguments])
        self._file.write(len(entry).to_bytes(LENGTH, "little") + entry)

    def close(self) -> None:
        """No more is taken down."""
        self._file.close()


class JournalReader:
    """Reads a journal while it is being written."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        self.done = 0
        """Bytes that were replayed."""

    def replay(self, carry_out: Callable[[Request], object]) -> int:
        """Carry out what has been taken down since the last time; how many requests."""
        count = 0
        while (entry := self._entry()) is not None:
            method, arguments = decode(entry)
            carry_out((method, arguments))
            count += 1
        return count

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def _entry(self) -> bytes | None:
        """The next entry if it is there whole."""
        self._file.seek(self.done)
        head = self._file.read(LENGTH)
        length = int.from_bytes(head, "little")
        entry = self._file.read(length)
        if len(head) < LENGTH or len(entry) < length:
            return None
        self.done += LENGTH + length
        return entry
