"""Retrieval dataset: what a reader of a public set offers, and what all readers need to read untrusted folders."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from consumers.quality.evaluation.labelled_dataset import LabelledImage
from consumers.quality.evaluation.qrels import Judgement
from consumers.quality.evaluation.rankings import Measure
from infra.config.errors import BadInput
from infra.console import printable
from infra.images.formats import is_picture_name

MAX_LINE = 10_000
"""Characters of a line of a list; the lines of the sets have fewer than 200."""


@dataclass(frozen=True)
class SkippedEntry:
    """An entry of a set that cannot be used, by name, and why."""

    name: str
    reason: str


Entry = LabelledImage | SkippedEntry


@dataclass(frozen=True)
class RetrievalDataset:
    """A split of a public set. Its entries are read anew at each call, one after the other, since they may be many.

    `rule` says in one sentence what the queries and the catalogue are; `measure` is the official one. Without
    `judgements`, pictures with the query's label are relevant.
    """

    name: str
    split: str
    rule: str
    measure: Measure
    queries: Callable[[], Iterator[Entry]]
    catalogue: Callable[[], Iterator[Entry]]
    judgements: Callable[[], Iterator[Judgement]] | None = None


@dataclass(frozen=True)
class DatasetFormat:
    """A format: its name for --format, the set's name, and what a folder of it has, for messages.

    `find` returns the folder in which the files are, which may be below the given one, or None when it is none of
    this format. `splits` returns the names of the splits that are there, the default one first. `read` reads one.
    """

    name: str
    title: str
    layout: str
    find: Callable[[Path], Path | None]
    splits: Callable[[Path], tuple[str, ...]]
    read: Callable[[Path, str], RetrievalDataset]


def first_with(candidates: tuple[Path, ...], *marks: str) -> Path | None:
    """The first of the folders that has one of these files or folders."""
    return next((folder for folder in candidates if any((folder / mark).exists() for mark in marks)), None)


def category_name(text: str) -> str:
    """The name of a category as events and filters take it: on one line, of at most 200 characters."""
    return " ".join(printable(text).split())[:200].strip()


def read_lines(file: Path) -> Iterator[str]:
    """The lines of a UTF-8 text without their ends. Raises BadInput when it cannot be read or is no such text."""
    try:
        with file.open(encoding="utf-8-sig") as text:
            while line := text.readline(MAX_LINE):
                if len(line) == MAX_LINE:
                    raise BadInput(
                        f"{file} has a line of {MAX_LINE:,} characters or more: it is no list of pictures"
                    )
                yield line.rstrip("\r\n")
    except OSError as error:
        raise BadInput(f"{file} cannot be read ({error.strerror}): see that the set is complete") from None
    except UnicodeDecodeError as error:
        raise BadInput(f"{file} is no text in UTF-8: {error.reason} at byte {error.start}") from None


def inside(folder: Path, name: str) -> Path | None:
    """The path of a file that a list names; None when the name leads out of the folder."""
    path = PurePosixPath(name)
    return None if path.is_absolute() or ".." in path.parts or "\0" in name or not path.parts else folder / path


def list_folder(folder: Path) -> list[str]:
    """The names in a folder, sorted, without hidden ones. Raises BadInput when it cannot be read."""
    try:
        return sorted(name for name in os.listdir(folder) if not name.startswith("."))
    except OSError as error:
        raise BadInput(f"{folder} cannot be read ({error.strerror}): see that the set is complete") from None


def list_pictures(folder: Path) -> list[str]:
    """The names of the picture files in a folder, sorted. Raises BadInput when it cannot be read."""
    return [name for name in list_folder(folder) if is_picture_name(name)]
