"""Tables of labelled pictures: a CSV with the columns `image` and the label's, and more where there are more."""

import csv
import hashlib
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from infra.console import BadInput, counted

IMAGE = "image"
CATEGORIES, COLOURS = ("category",), ("colour", "color")
"""Columns that are taken, when they are there, without being named."""
SHOWN = 3
"""How many culprits a sentence names."""

Thing = TypeVar("Thing")


@dataclass(frozen=True)
class TableSource:
    """A table, or those of its rows whose columns have one of the values named for them."""

    file: Path
    where: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def takes(self, cells: Mapping[str, str]) -> bool:
        """Whether a row is wanted."""
        return all(cells.get(column, "") in values for column, values in self.where.items())


@dataclass(frozen=True)
class LabelColumns:
    """Which columns to read; None: a label is not needed, a category or colour only where a usual column is."""

    label: str | None = "label"
    category: str | None = None
    colour: str | None = None
    same: tuple[str, ...] = ()


@dataclass(frozen=True)
class LabelledImage:
    """One picture and what is said of it; empty where nothing is said. `image` is as in the table."""

    image: str
    path: Path
    label: str = ""
    category: str = ""
    colour: str = ""
    values: Mapping[str, str] = field(default_factory=dict)
    """Of the further columns that were asked for."""


def parse_source(text: str) -> TableSource:
    """FILE, or FILE:COLUMN=VALUE[,COLUMN=VALUE...]; values of one column are alternatives. Raises BadInput."""
    name, colon, conditions = text.rpartition(":")
    if not colon or "=" not in conditions:
        return TableSource(Path(text))
    where: dict[str, tuple[str, ...]] = {}
    for condition in conditions.split(","):
        column, equals, value = condition.partition("=")
        if not equals or not column:
            raise BadInput(f"{text}: after the colon write COLUMN=VALUE, as labels.csv:split=val")
        where[column] = (*where.get(column, ()), value)
    return TableSource(Path(name), where)


def read_rows(source: TableSource, columns: LabelColumns, root: Path | None = None) -> list[LabelledImage]:
    """The wanted rows; pictures lie below `root`, else below the table's folder.

    Raises BadInput when a column, a row's image or label, or a picture is missing, or no row is wanted.
    """
    names, table = _read(source.file)
    chosen = _choose(source, columns, names)
    found = [cells for cells in table if source.takes(cells)]
    if not found:
        wanted = ", ".join(f"{column}={'|'.join(values)}" for column, values in source.where.items())
        raise BadInput(f"{source.file} has no row{f' with {wanted}' if wanted else 's'}: there is nothing to judge")
    rows = [_row(source.file, cells, chosen, root or source.file.parent) for cells in found]
    _check_pictures(source.file, rows)
    return rows


def sample(things: Sequence[Thing], limit: int, seed: int) -> list[Thing]:
    """At most `limit` of them (0: all) in their order, the same ones for a seed."""
    if not 0 < limit < len(things):
        return list(things)
    return [things[n] for n in sorted(random.Random(seed).sample(range(len(things)), limit))]


def digest(rows: Iterable[LabelledImage]) -> str:
    """A name for these pictures with these labels, whatever their order."""
    lines = sorted(f"{row.image}\0{row.label}" for row in rows)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def _read(file: Path) -> tuple[list[str], list[dict[str, str]]]:
    try:
        with file.open(encoding="utf-8-sig", newline="") as text:
            reader = csv.DictReader(text, restval="")
            return list(reader.fieldnames or ()), [{k: v for k, v in row.items() if k} for row in reader]
    except OSError as error:
        raise BadInput(f"{file} cannot be read ({error.strerror}): name a CSV with labelled pictures") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadInput(f"{file} is no CSV in UTF-8: {error}") from None


def _choose(source: TableSource, columns: LabelColumns, names: Sequence[str]) -> LabelColumns:
    """The columns with the usual ones filled in; raises BadInput when one that was named is not there."""
    wanted = {IMAGE, *source.where, *columns.same, columns.label, columns.category, columns.colour} - {None}
    missing = sorted(str(name) for name in wanted if name not in names)
    if missing:
        there = ", ".join(names) or "none"
        raise BadInput(
            f"{source.file} has no column {' or '.join(missing)}: its columns are {there}; "
            "--label, --category and --colour name others"
        )
    category = columns.category or next((name for name in CATEGORIES if name in names), None)
    colour = columns.colour or next((name for name in COLOURS if name in names), None)
    return LabelColumns(columns.label, category, colour, columns.same)


def _row(file: Path, cells: Mapping[str, str], columns: LabelColumns, root: Path) -> LabelledImage:
    needed = [IMAGE] + ([columns.label] if columns.label else [])
    for name in needed:
        if not cells[name].strip():
            raise BadInput(
                f"{file} has a row without {name} ({cells[IMAGE] or 'and without a picture'}): complete it"
            )
    label, category, colour = (
        cells[name] if name else "" for name in (columns.label, columns.category, columns.colour)
    )
    same = {name: cells[name] for name in columns.same}
    return LabelledImage(cells[IMAGE], root / cells[IMAGE], label, category, colour, same)


def _check_pictures(file: Path, rows: Sequence[LabelledImage]) -> None:
    missing = [row.image for row in rows if not row.path.is_file()]
    if missing:
        raise BadInput(
            f"{counted(len(missing), 'picture', 'pictures')} of {len(rows)} in {file} "
            f"{'is' if len(missing) == 1 else 'are'} not there ({', '.join(_some(missing))}): check --image-root"
        )


def _some(names: Sequence[str]) -> Iterator[str]:
    yield from names[:SHOWN]
    if len(names) > SHOWN:
        yield "..."
