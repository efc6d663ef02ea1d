"""Fitting data: reads labelled pictures from a CSV, or from a folder whose sub-folders are the labels."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from consumers.quality.evaluation.labelled_dataset import LabelColumns, LabelledImage, TableSource, read_rows
from infra.config.errors import BadInput
from infra.images.formats import is_picture_name

LABEL = "label"
"""The label column that is used, where the table has it, when no column is named."""
TABLE = "labels.csv"


@dataclass(frozen=True)
class DatasetOptions:
    """The folder or CSV, the folder of the CSV's paths, the label column, and row conditions as COLUMN=VALUE."""

    source: Path
    root: Path | None = None
    label: str | None = None
    where: Sequence[str] = ()


def read_dataset(options: DatasetOptions) -> list[LabelledImage]:
    """The pictures with their labels; all labels are empty where the source has none. Raises BadInput."""
    if not options.source.is_dir():
        return _read_table(options.source, options)
    if (options.source / TABLE).is_file():
        return _read_table(options.source / TABLE, options)
    if options.where or options.label or options.root:
        raise BadInput(f"{options.source} has no {TABLE}: --label, --where and --image-root are for tables")
    return _read_folder(options.source)


def _read_table(table: Path, options: DatasetOptions) -> list[LabelledImage]:
    label = options.label or (LABEL if LABEL in _read_header(table) else None)
    return read_rows(TableSource(table, parse_conditions(options.where)), LabelColumns(label), options.root)


def parse_conditions(where: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The accepted values by column, from COLUMN=VALUE; values of one column are alternatives. Raises BadInput."""
    values: dict[str, tuple[str, ...]] = {}
    for condition in where:
        column, equals, value = condition.partition("=")
        if not column or not equals:
            raise BadInput(f"--where {condition}: write COLUMN=VALUE, as split=train")
        values[column] = (*values.get(column, ()), value)
    return values


def _read_header(table: Path) -> Sequence[str]:
    """The column names; empty where the table cannot be read, because `read_rows` reports that error better."""
    try:
        with table.open(encoding="utf-8-sig", newline="") as text:
            return next(csv.reader(text), [])
    except (OSError, UnicodeDecodeError, csv.Error):
        return []


def _read_folder(folder: Path) -> list[LabelledImage]:
    files = sorted(path for path in folder.rglob("*") if is_picture_name(path.name) and path.is_file())
    if not files:
        raise BadInput(f"{folder} has no pictures: name a folder with pictures in sub-folders, or a CSV")
    paths = [path.relative_to(folder) for path in files]
    unlabelled = [path for path in paths if len(path.parts) == 1]
    if unlabelled and len(unlabelled) < len(paths):
        raise BadInput(
            f"{folder} has pictures both in sub-folders, which are labels, and outside of them ({unlabelled[0]}): "
            "put all into sub-folders, or none"
        )
    return [LabelledImage(str(path), folder / path, path.parts[0] if not unlabelled else "") for path in paths]
