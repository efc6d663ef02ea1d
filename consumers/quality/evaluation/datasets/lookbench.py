"""LookBench: fashion, with photos of the studio and of the street, real and generated, among 58,000 distractors.

Layout: v20251201/SUBSET/query.parquet and gallery.parquet for the subsets in SUBSETS, and
v20251201/noise/*.parquet.
Columns: `image`, which is cut to the garment already, `category`, `main_attribute` and others. Source: the dataset
card of https://huggingface.co/datasets/srpone/look-bench, and look_bench/utils/hf_loader.py of
https://github.com/SerendipityOneInc/look-bench.
Protocol: the queries of a subset among its gallery and the noise; Fine Recall@1. A hit is right when its category
and its main attribute are the query's: two independent evaluations get the leaderboard's figures by it (74.38 for
Marqo-FashionSigLIP on AIGen-StreetLook, configs/release_v2601/benchmark.json of look-bench-page). The README says
"all attributes", which would be stricter.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from consumers.quality.evaluation.datasets.parquet_pictures import check_columns, read_rows
from consumers.quality.evaluation.datasets.retrieval_dataset import (
    DatasetFormat,
    Entry,
    RetrievalDataset,
    SkippedEntry,
    category_name,
)
from consumers.quality.evaluation.labelled_dataset import LabelledImage
from consumers.quality.evaluation.rankings import Measure
from infra.config.errors import BadInput

SUBSETS = ("real_studio_flat", "aigen_studio", "real_streetlook", "aigen_streetlook")
NOISE = "noise"
COLUMNS = ("category", "main_attribute")
IMAGE = "image"


def find(folder: Path) -> Path | None:
    """The folder of a version: the given one, or the newest one in it."""
    candidates = (folder, *sorted(folder.glob("v*"), reverse=True))
    return next((each for each in candidates if splits(each)), None)


def splits(root: Path) -> tuple[str, ...]:
    """The subsets that are there."""
    return tuple(subset for subset in SUBSETS if (root / subset / "query.parquet").is_file())


def read(root: Path, split: str) -> RetrievalDataset:
    """A subset. Raises BadInput when its gallery or a column is missing."""
    query, gallery = root / split / "query.parquet", root / split / "gallery.parquet"
    noise = sorted((root / NOISE).glob("*.parquet"))
    if not gallery.is_file():
        raise BadInput(f"{gallery} is not there: see that the set is complete")
    check_columns((query, gallery), (IMAGE, *COLUMNS))
    check_columns(noise, (IMAGE, *COLUMNS[:1]))
    without = "" if noise else " (the noise, which belongs to it, is not there: the figure is too high)"
    rule = f"queries are searched in the subset's gallery and the noise{without}"
    return RetrievalDataset(
        f"LookBench {root.resolve().name}", split, rule, Measure("recall", 1), partial(_labelled, query),
        partial(_catalogue, gallery, noise),
    )  # fmt: skip


def _labelled(file: Path) -> Iterator[Entry]:
    """The rows of a file, with the category and the main attribute as label."""
    for number, row in enumerate(read_rows((file,), COLUMNS)):
        category, attribute = row.values
        name = f"{file.parent.name}/{file.stem}/{number}"
        if not (category and attribute):
            yield SkippedEntry(name, "it has no category or no main_attribute")
        else:
            label, category = f"{category} | {attribute}", category_name(category)
            yield LabelledImage(name, file, label, category, source=row.picture(IMAGE), identity=name)


def _catalogue(gallery: Path, noise: list[Path]) -> Iterator[Entry]:
    """The gallery, and the noise, which has neither label nor category: its own category says `noise data`."""
    yield from _labelled(gallery)
    for number, row in enumerate(read_rows(noise, COLUMNS[:1])):
        name = f"{NOISE}/{number}"
        yield LabelledImage(name, row.file, source=row.picture(IMAGE), identity=name)


LOOKBENCH = DatasetFormat(
    "lookbench",
    "LookBench",
    "real_studio_flat/query.parquet or that of another subset, and noise",
    find,
    splits,
    read,
)
