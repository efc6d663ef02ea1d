"""What to fit on: a table of pictures, or a folder whose sub-folders are the labels."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from consumers.quality.evaluation.labelled_dataset import LabelColumns, LabelledImage, TableSource, read_rows
from infra.console import BadInput

LABEL = "label"
"""The column that is taken, when it is there, without being named."""
TABLE = "labels.csv"
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".heic"})


@dataclass(frozen=True)
class DatasetOptions:
    """Where pictures come from, the column of their label, and the rows to take, as COLUMN=VALUE."""

    source: Path
    root: Path | None = None
    label: str | None = None
    where: Sequence[str] = ()


def read_dataset(wanted: DatasetOptions) -> list[LabelledImage]:
    """The pictures with their labels, none of them labelled where the source has no labels; raises BadInput."""
    if not wanted.source.is_dir():
        return _from_table(wanted.source, wanted)
    if (wanted.source / TABLE).is_file():
        return _from_table(wanted.source / TABLE, wanted)
    if wanted.where or wanted.label or wanted.root:
        raise BadInput(f"{wanted.source} has no {TABLE}: --label, --where and --image-root are for tables")
    return _from_folder(wanted.source)


def _from_table(table: Path, wanted: DatasetOptions) -> list[LabelledImage]:
    label = wanted.label or (LABEL if LABEL in _header(table) else None)
    return read_rows(TableSource(table, conditions(wanted.where)), LabelColumns(label), wanted.root)


def conditions(where: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """COLUMN=VALUE, any number of times, by column; values of one column are alternatives. Raises BadInput."""
    taken: dict[str, tuple[str, ...]] = {}
    for condition in where:
        column, equals, value = condition.partition("=")
        if not column or not equals:
            raise BadInput(f"--where {condition}: write COLUMN=VALUE, as split=train")
        taken[column] = (*taken.get(column, ()), value)
    return taken


def _header(table: Path) -> Sequence[str]:
    """The names of the columns; none where the table cannot be read, which `read_rows` says better."""
    try:
        with table.open(encoding="utf-8-sig", newline="") as text:
            return next(csv.reader(text), [])
    except (OSError, UnicodeDecodeError, csv.Error):
        return []


def _from_folder(folder: Path) -> list[LabelledImage]:
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    if not found:
        raise BadInput(f"{folder} has no pictures: name a folder with pictures in sub-folders, or a CSV")
    inside = [path.relative_to(folder) for path in found]
    loose = [path for path in inside if len(path.parts) == 1]
    if loose and len(loose) < len(inside):
        raise BadInput(
            f"{folder} has pictures both in sub-folders, which are labels, and outside of them ({loose[0]}): "
            "put all into sub-folders, or none"
        )
    return [LabelledImage(str(path), folder / path, path.parts[0] if not loose else "") for path in inside]
