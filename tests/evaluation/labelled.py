"""Folders of labelled pictures: labels.csv (image, split, label, category), or the fashion set's products.csv."""

import csv
from dataclasses import dataclass
from pathlib import Path

QUERY_SPLITS = ("val", "validation")

COLOUR_NAMES = {
    "Black": "black", "White": "white", "Grey": "grey", "Red": "red", "Maroon": "red", "Orange": "orange",
    "Yellow": "yellow", "Green": "green", "Olive": "green", "Teal": "teal", "Turquoise Blue": "teal",
    "Blue": "blue", "Navy Blue": "navy", "Purple": "purple", "Pink": "pink", "Brown": "brown", "Beige": "beige",
    "Cream": "beige",
}  # fmt: skip
"""The obvious ones of the fashion set's 47 colours, in our words."""


@dataclass(frozen=True)
class Row:
    """One picture: `split` is train, catalog (studio pictures) or one of QUERY_SPLITS; `colour` may be empty."""

    path: Path
    split: str
    label: str
    category: str
    colour: str = ""


def read_rows(folder: Path) -> list[Row]:
    """The rows of the folder's table; raises FileNotFoundError with one sentence when it has none."""
    labels, products = folder / "labels.csv", folder / "products.csv"
    if labels.is_file():
        return [Row(folder / r["image"], r["split"], r["label"], r["category"]) for r in _read(labels)]
    if products.is_file():
        return [_product(folder, r) for r in _read(products)]
    raise FileNotFoundError(f"{folder} has neither labels.csv nor products.csv: name a folder of labelled pictures")


def _read(table: Path) -> list[dict[str, str]]:
    with table.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _product(folder: Path, row: dict[str, str]) -> Row:
    split = "val" if int(row["id"]) % 10 == 0 else "train"  # The set has no split of its own.
    colour = COLOUR_NAMES.get(row["baseColour"], "")
    return Row(folder / row["image"], split, row["articleType"], row["subCategory"], colour)
