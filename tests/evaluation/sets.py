"""The labelled sets of `make evaluate`: where their tables are, and which choices were made on them."""

import csv
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from consumers.quality.evaluation.labelled_dataset import LabelColumns, LabelledImage, parse_source, read_rows

FASHION_QUERIES, FASHION_CATALOGUE = 500, 4_000
FASHION_COLUMNS = LabelColumns("articleType", "articleType", "baseColour", ("usage", "season"))
LABEL_COLUMNS = LabelColumns()
ICON, PHOTO, CLOTHES, FASHION = (
    "grocery photo to icon", "grocery photo to photo", "clothing photo to photo", "fashion",
)  # fmt: skip
CATALOGUE_SPLITS, QUERY_SPLITS = ("catalog", "train"), ("val", "validation", "test")
"""Values of the column `split` in the table of a further set."""


ENCODER = "the default encoder, the weights of the intents"


@dataclass(frozen=True)
class LabelledSet:
    """One evaluation: tables below the data folder, as `lookstream evaluate` takes them.

    `choices` are those that were made on its queries, in words; empty: none, so that its figures are those of a new
    domain.
    """

    name: str
    catalogue: str
    queries: str
    off_topic: str = ""
    columns: LabelColumns = LABEL_COLUMNS
    root: str | None = None
    choices: str = ""


SETS = (
    LabelledSet(
        ICON, "grocery/labels.csv:split=catalog", "grocery/labels.csv:split=val",
        choices=f"{ENCODER}, verification, the temperature of the vote, and that of `same_item`",
    ),
    LabelledSet(
        PHOTO, "grocery/labels.csv:split=train", "grocery/labels.csv:split=val",
        "clothing/labels.csv:split=validation",
        choices=f"{ENCODER}, the metric of a collection, the temperature of the vote, the flag of low coverage",
    ),
    LabelledSet(
        CLOTHES, "clothing/labels.csv:split=train", "clothing/labels.csv:split=validation",
        "grocery/labels.csv:split=val",
        choices=f"{ENCODER}, the metric of a collection, the temperature of the vote, the flag of low coverage",
    ),
    LabelledSet(
        FASHION, "catalogue.csv", "queries.csv", "", FASHION_COLUMNS, "fashion",
        choices="the colour names; the whitening was fitted to its other pictures, without labels",
    ),
)  # fmt: skip


def find_sets(data: Path) -> tuple[LabelledSet, ...]:
    """The sets above, and one for each further folder of `data` with a labels.csv, on which no choice was made."""
    known = {Path(table).parts[0] for each in SETS for table in (each.catalogue, each.queries)} | {FASHION}
    folders = sorted(file.parent.name for file in data.glob("*/labels.csv"))
    return (*SETS, *(_further_set(name) for name in folders if name not in known))


def _further_set(name: str) -> LabelledSet:
    catalogue, queries = (
        ",".join(f"split={split}" for split in splits) for splits in (CATALOGUE_SPLITS, QUERY_SPLITS)
    )
    return LabelledSet(name, f"{name}/labels.csv:{catalogue}", f"{name}/labels.csv:{queries}")


def read_set(each: LabelledSet, data: Path, drawn: Path) -> tuple[list[LabelledImage], list[LabelledImage]]:
    """The catalogue and the queries of a set; those of fashion are in `drawn`. Raises BadInput."""
    folder, root = (drawn, data / each.root) if each.root else (data, None)
    catalogue, queries = (
        read_rows(parse_source(str(folder / table)), each.columns, root) for table in (each.catalogue, each.queries)
    )
    return catalogue, queries


def read_off_topic(each: LabelledSet, data: Path) -> Sequence[LabelledImage]:
    """The pictures of things that the catalogue of a set does not have; empty if it names none."""
    return read_rows(parse_source(str(data / each.off_topic)), LabelColumns(None)) if each.off_topic else ()


def draw_fashion(products: Path, into: Path) -> None:
    """Write tables of queries (ids that end with 0) and of a catalogue (others), drawn at random with one seed.

    The set has no split.
    """
    with products.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    chance = random.Random(0)
    ending = [row for row in rows if int(row["id"]) % 10 == 0]
    others = [row for row in rows if int(row["id"]) % 10]
    for name, some, count in (
        ("queries.csv", ending, FASHION_QUERIES), ("catalogue.csv", others, FASHION_CATALOGUE),
    ):  # fmt: skip
        with (into / name).open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(chance.sample(some, min(count, len(some))))
