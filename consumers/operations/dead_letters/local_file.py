"""Dead-letter file: stores the dead letters of earlier local runs, because the local broker loses its topics."""

import base64
import fcntl
import json
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path

from consumers.operations.dead_letters.dead_letter import DeadLetter, digest_of
from infra.config.errors import BadInput
from infra.kafka import Record


class DeadLetterFile:
    """JSON Lines file, one letter per line. A change is written to a new file that replaces it atomically."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> Iterator[DeadLetter]:
        """Every letter in the file; nothing when there is no file. Raises BadInput on a line that is no letter."""
        if self.path.exists():
            with self.path.open() as file:
                for number, line in enumerate(file, 1):
                    yield self._parse_line(number, line)

    def add(self, letters: Iterable[DeadLetter]) -> int:
        """Add letters, without duplicates; returns the number of new ones."""
        with self._rewrite() as new_file:
            by_id = {letter.id: letter for letter in self.read()}
            before = len(by_id)
            by_id.update({letter.id: letter for letter in letters})
            if len(by_id) > before:
                _write(new_file, by_id.values())
            return len(by_id) - before

    def drop(self, ids: Collection[str]) -> None:
        with self._rewrite() as new_file:
            if any(letter.id in ids for letter in self.read()):
                _write(new_file, (letter for letter in self.read() if letter.id not in ids))

    @contextmanager
    def _rewrite(self) -> Iterator[Path]:
        """Path of a new file that replaces the old one at the end, if it was written; locks out other processes."""
        new_file = self.path.with_suffix(".new")
        with self.path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            new_file.unlink(missing_ok=True)
            yield new_file
            if new_file.exists():
                new_file.replace(self.path)

    def _parse_line(self, number: int, line: str) -> DeadLetter:
        try:
            return from_json(line)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise BadInput(f"line {number} of {self.path} is not a dead letter: correct it, or remove it") from None


def to_json(letter: DeadLetter) -> str:
    """Serialise a letter to one line; bytes are base64, except headers that are valid UTF-8."""
    headers = {name: _encode_header(value) for name, value in letter.headers.items()}
    values = {field.name: getattr(letter, field.name) for field in fields(letter)}
    return json.dumps(values | {"key": _encode(letter.key), "value": _encode(letter.value), "headers": headers})


def from_json(line: str) -> DeadLetter:
    """Parse one line; lines of earlier versions have fewer fields.

    Raises ValueError, KeyError, TypeError or AttributeError.
    """
    data = json.loads(line)
    key, value = _decode(data["key"]), _decode(data["value"])
    headers = {name: _decode_header(text) for name, text in data["headers"].items()}
    position = (data["topic"], data["partition"], data["offset"])
    digest = digest_of(Record(*position, key, value, timestamp_ms=data.get("timestamp_ms", 0)))
    size = None if value is None else len(value)
    return DeadLetter(**data | {"key": key, "value": value, "headers": headers, "digest": digest, "size": size})


def _write(new_file: Path, letters: Iterable[DeadLetter]) -> None:
    """Write letters and sync them to disk. Only the owner may read the file: letters can hold private data."""
    descriptor = os.open(new_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.writelines(to_json(letter) + "\n" for letter in letters)
        file.flush()
        os.fsync(file.fileno())


def _encode_header(value: bytes | None) -> str | Mapping[str, str] | None:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(value or b"").decode()}


def _decode_header(value: str | Mapping[str, str] | None) -> bytes | None:
    if value is None:
        return None
    return value.encode() if isinstance(value, str) else base64.b64decode(value["base64"])


def _encode(value: bytes | None) -> str | None:
    return None if value is None else base64.b64encode(value).decode()


def _decode(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)
