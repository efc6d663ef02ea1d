"""The local file of standing searches: the local broker forgets its topics."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

from infra.console import BadInput

FILE = "watches.jsonl"
"""Its name in the data folder."""


class WatchFile:
    """One standing search a line, key and value. A new file takes the place of the old one: it is always whole."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> dict[str, bytes]:
        """The values by key; none when there is no file. Raises BadInput on a line that is none of ours."""
        if not self._path.exists():
            return {}
        # By bytes and newlines alone: text has other ends of lines, and a broken file may be no text.
        return dict(self._entry(n, line) for n, line in enumerate(self._path.read_bytes().splitlines(), 1))

    def write(self, values: Mapping[str, bytes]) -> None:
        """Keep these, and these alone: standing searches, whose values are UTF-8. Raises OSError."""
        draft = self._path.with_suffix(".new")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.writelines(json.dumps([key, value.decode()]) + "\n" for key, value in values.items())
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._path)

    def _entry(self, number: int, line: bytes) -> tuple[str, bytes]:
        try:
            key, value = json.loads(line)
            return str(key), str(value).encode()
        except (ValueError, TypeError, RecursionError):
            raise BadInput(f"line {number} of {self._path} is no watch: mend it, or take it out") from None
