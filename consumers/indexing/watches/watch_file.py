"""Watch file: store the watches in a local file, because the local broker loses its topics when it stops."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

from infra.config.errors import BadInput

WATCHES_FILE = "watches.jsonl"
"""Name of the file in the data folder."""


class WatchFile:
    """One watch per line, as key and value. Writing replaces the file atomically."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> dict[str, bytes]:
        """The values by key; empty if there is no file. Raises BadInput on an invalid line."""
        if not self._path.exists():
            return {}
        # Splits bytes at newlines: text has further line separators, and a broken file may not be valid text.
        return dict(self._entry(n, line) for n, line in enumerate(self._path.read_bytes().splitlines(), 1))

    def write(self, values: Mapping[str, bytes]) -> None:
        """Replace the content of the file by these watches, whose values are UTF-8. Raises OSError."""
        new_file = self._path.with_suffix(".new")
        descriptor = os.open(new_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.writelines(json.dumps([key, value.decode()]) + "\n" for key, value in values.items())
            file.flush()
            os.fsync(file.fileno())
        new_file.replace(self._path)

    def _entry(self, number: int, line: bytes) -> tuple[str, bytes]:
        try:
            key, value = json.loads(line)
            return str(key), str(value).encode()
        except (ValueError, TypeError, RecursionError):
            raise BadInput(f"line {number} of {self._path} is no watch: correct it, or remove it") from None
