"""The local file of dead letters: those of earlier runs of the local broker, which forgets its topics."""

import base64
import fcntl
import json
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path

from consumers.operations.dead_letters.dead_letter import DeadLetter, digest_of
from infra.console import BadInput
from infra.kafka import Record

FILE = "dead-letters.jsonl"
"""Its name in the data folder."""


class DeadLetterFile:
    """One letter a line. A change is written beside it and takes its place: the file is whole at any time."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> Iterator[DeadLetter]:
        """Every letter in it; none when there is no file. Raises BadInput on a line that is no letter."""
        if self.path.exists():
            with self.path.open() as file:
                for number, line in enumerate(file, 1):
                    yield self._letter(number, line)

    def add(self, letters: Iterable[DeadLetter]) -> int:
        """Keep letters, each once; how many are new."""
        with self._changing() as draft:
            found = {letter.id: letter for letter in self.read()}
            before = len(found)
            found.update({letter.id: letter for letter in letters})
            if len(found) > before:
                _write(draft, found.values())
            return len(found) - before

    def drop(self, ids: Collection[str]) -> None:
        """Forget letters."""
        with self._changing() as draft:
            if any(letter.id in ids for letter in self.read()):
                _write(draft, (letter for letter in self.read() if letter.id not in ids))

    @contextmanager
    def _changing(self) -> Iterator[Path]:
        """A draft that takes the file's place at the end, if it was written; one process at a time."""
        draft = self.path.with_suffix(".new")
        with self.path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            draft.unlink(missing_ok=True)
            yield draft
            if draft.exists():
                draft.replace(self.path)

    def _letter(self, number: int, line: str) -> DeadLetter:
        try:
            return from_json(line)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise BadInput(f"line {number} of {self.path} is no dead letter: mend it, or take it out") from None


def to_json(letter: DeadLetter) -> str:
    """One line of the file; bytes are base64, but for headers that are text."""
    headers = {name: _header_out(value) for name, value in letter.headers.items()}
    known = {field.name: getattr(letter, field.name) for field in fields(letter)}
    return json.dumps(known | {"key": _encode(letter.key), "value": _encode(letter.value), "headers": headers})


def from_json(line: str) -> DeadLetter:
    """A letter from a line of the file; lines of earlier versions say less. Raises what json and dicts do."""
    found = json.loads(line)
    key, value = _decode(found["key"]), _decode(found["value"])
    headers = {name: _header_in(text) for name, text in found["headers"].items()}
    place = (found["topic"], found["partition"], found["offset"])
    digest = digest_of(Record(*place, key, value, timestamp_ms=found.get("timestamp_ms", 0)))
    size = None if value is None else len(value)
    return DeadLetter(**found | {"key": key, "value": value, "headers": headers, "digest": digest, "size": size})


def _write(draft: Path, letters: Iterable[DeadLetter]) -> None:
    """Write letters whole; they may hold what is not for everybody's eyes."""
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.writelines(to_json(letter) + "\n" for letter in letters)
        file.flush()
        os.fsync(file.fileno())


def _header_out(value: bytes | None) -> str | Mapping[str, str] | None:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(value or b"").decode()}


def _header_in(value: str | Mapping[str, str] | None) -> bytes | None:
    if value is None:
        return None
    return value.encode() if isinstance(value, str) else base64.b64decode(value["base64"])


def _encode(value: bytes | None) -> str | None:
    return None if value is None else base64.b64encode(value).decode()


def _decode(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)
