"""Stanford Online Products: lists of pictures with classes, as its authors publish it.

Layout: Ebay_train.txt and Ebay_test.txt with a line `image_id class_id super_class_id path` and one such line a
picture, beside folders such as bicycle_final. Source: the archive of
https://cvgl.stanford.edu/projects/lifted_struct/ as its readers describe it, for example tensorflow_datasets
(datasets/stanford_online_products).
Protocol: Oh Song et al., "Deep Metric Learning via Lifted Structured Feature Embedding", CVPR 2016, section 5:
each picture of the test split (60,502 of 11,316 classes) is a query among all others of the split; Recall@1.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from consumers.quality.evaluation.datasets.retrieval_dataset import (
    DatasetFormat,
    Entry,
    RetrievalDataset,
    SkippedEntry,
    category_name,
    first_with,
    inside,
    read_lines,
)
from consumers.quality.evaluation.labelled_dataset import LabelledImage
from consumers.quality.evaluation.rankings import Measure
from infra.config.errors import BadInput

COLUMNS = ["image_id", "class_id", "super_class_id", "path"]
SPLITS = ("test", "train")
FOLDER = "Stanford_Online_Products"


def find(folder: Path) -> Path | None:
    """The folder with the lists."""
    return first_with((folder, folder / FOLDER), *(f"Ebay_{split}.txt" for split in SPLITS))


def splits(root: Path) -> tuple[str, ...]:
    """The splits whose lists are there."""
    return tuple(split for split in SPLITS if (root / f"Ebay_{split}.txt").is_file())


def read(root: Path, split: str) -> RetrievalDataset:
    """A split. Raises BadInput when its list has other columns."""
    file = root / f"Ebay_{split}.txt"
    header = next(read_lines(file), "").split()
    if header != COLUMNS:
        raise BadInput(f"{file} begins with the columns {' '.join(header) or 'none'}, not {' '.join(COLUMNS)}")
    entries = partial(_entries, root, file)
    rule = "every picture of the split is a query among all the others of the split"
    return RetrievalDataset("Stanford Online Products", split, rule, Measure("recall", 1), entries, entries)


def _entries(root: Path, file: Path) -> Iterator[Entry]:
    for number, line in enumerate(read_lines(file), 1):
        cells = line.split()
        if number == 1 or not cells:
            continue
        path = inside(root, cells[3]) if len(cells) == len(COLUMNS) else None
        if path is None:
            yield SkippedEntry(f"{file.name} line {number}", f"it is not `{' '.join(COLUMNS)}`")
        else:
            category = category_name(cells[3].split("/")[0].removesuffix("_final").replace("_", " "))
            yield LabelledImage(cells[3], path, cells[1], category, identity=cells[3])


SOP = DatasetFormat("sop", "Stanford Online Products", "Ebay_test.txt or Ebay_train.txt", find, splits, read)
