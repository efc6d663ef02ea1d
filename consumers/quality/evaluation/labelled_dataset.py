"""Labelled dataset: reads labelled pictures from a CSV with an `image` column, a label and optional others."""

import csv
import hashlib
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from consumers.quality.evaluation.picture_source import PictureSource, cut_box, read_file
from infra.array_types import Box
from infra.config.errors import BadInput
from infra.console import format_count

IMAGE = "image"
CATEGORIES, COLOURS = ("category",), ("colour", "color")
"""Columns that are used, where the table has them, when no column is named."""
MAX_NAMED = 3
"""The number of missing pictures that an error message names."""

Value = TypeVar("Value")


@dataclass(frozen=True)
class TableSource:
    """A table, or only those of its rows whose columns have one of the accepted values in `where`."""

    file: Path
    where: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def matches(self, cells: Mapping[str, str]) -> bool:
        """Whether a row satisfies all conditions."""
        return all(cells.get(column, "") in values for column, values in self.where.items())


@dataclass(frozen=True)
class LabelColumns:
    """The columns to read. None: no label is read; a category or colour is read from its default column, if any."""

    label: str | None = "label"
    category: str | None = None
    colour: str | None = None
    same: tuple[str, ...] = ()


@dataclass(frozen=True)
class LabelledImage:
    """One picture and its annotations, which are empty where they are missing. `image` is as in the table."""

    image: str
    path: Path
    label: str = ""
    category: str = ""
    colour: str = ""
    values: Mapping[str, str] = field(default_factory=dict)
    """The values of the additional columns, by column."""
    source: PictureSource | None = None
    """The place of the picture where it is not the file `path` itself; then `identity` is set too."""
    box: Box | None = None
    """The part of the picture that shows the item, in pixels; None: all of it."""
    identity: str = ""
    """Equal for rows with the same picture; empty: those with the same file."""

    @property
    def picture_key(self) -> str:
        """Equal for rows with the same picture, in whatever role."""
        return self.identity or str(self.path.resolve())

    def read(self) -> bytes:
        """The encoded picture, or the part in `box`; empty, which every decoder rejects, when it cannot be read."""
        try:
            data = read_file(self.path) if self.source is None else self.source.read()
        except OSError:
            return b""
        return data if self.box is None else cut_box(data, self.box)


def parse_source(text: str) -> TableSource:
    """Parse FILE or FILE:COLUMN=VALUE[,COLUMN=VALUE...]; values of one column are alternatives. Raises BadInput."""
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
    """The matching rows; pictures are below `root`, by default below the table's folder.

    Raises BadInput when a column, a row's image or label, or a picture is missing, or when no row matches.
    """
    names, table = _read(source.file)
    resolved = _resolve_columns(source, columns, names)
    matching = [cells for cells in table if source.matches(cells)]
    if not matching:
        conditions = ", ".join(f"{column}={'|'.join(values)}" for column, values in source.where.items())
        raise BadInput(
            f"{source.file} has no row{f' with {conditions}' if conditions else 's'}: there is nothing to evaluate"
        )
    rows = [_row(source.file, cells, resolved, root or source.file.parent) for cells in matching]
    _check_pictures(source.file, rows)
    return rows


def sample(values: Sequence[Value], limit: int, seed: int) -> list[Value]:
    """A random sample of at most `limit` values (0: all), in their order; the same seed gives the same sample."""
    if not 0 < limit < len(values):
        return list(values)
    return [values[n] for n in sorted(random.Random(seed).sample(range(len(values)), limit))]


def digest(rows: Iterable[LabelledImage]) -> str:
    """A digest of the pictures' names and labels, which does not depend on their order."""
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


def _resolve_columns(source: TableSource, columns: LabelColumns, names: Sequence[str]) -> LabelColumns:
    """The columns with the defaults filled in; raises BadInput when a named column is missing."""
    required = {IMAGE, *source.where, *columns.same, columns.label, columns.category, columns.colour} - {None}
    missing = sorted(str(name) for name in required if name not in names)
    if missing:
        present = ", ".join(names) or "none"
        raise BadInput(
            f"{source.file} has no column {' or '.join(missing)}: its columns are {present}; "
            "--label, --category and --colour name others"
        )
    category = columns.category or next((name for name in CATEGORIES if name in names), None)
    colour = columns.colour or next((name for name in COLOURS if name in names), None)
    return LabelColumns(columns.label, category, colour, columns.same)


def _row(file: Path, cells: Mapping[str, str], columns: LabelColumns, root: Path) -> LabelledImage:
    required = [IMAGE] + ([columns.label] if columns.label else [])
    for name in required:
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
            f"{format_count(len(missing), 'picture', 'pictures')} of {len(rows)} in {file} "
            f"{'is' if len(missing) == 1 else 'are'} not there ({', '.join(_some(missing))}): check --image-root"
        )


def _some(names: Sequence[str]) -> Iterator[str]:
    yield from names[:MAX_NAMED]
    if len(names) > MAX_NAMED:
        yield "..."
