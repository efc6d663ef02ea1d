"""RP2K: photos of retail products on shelves, in one folder a product.

Layout: all/train/PRODUCT/PICTURE.jpg and all/test/PRODUCT/PICTURE.jpg, as the archive rp2k_dataset.zip of
https://www.pinlandata.com/rp2k_dataset unpacks. Source: its reader in tensorbay (tensorbay/opendataset/RP2K).
Protocol: the paper (Peng et al. 2020, arXiv:2006.12634) classifies; as a retrieval set it is MTEB's task
RP2kI2IRetrieval (Image/Any2AnyRetrieval/eng/RP2kI2IRetrieval.py): each picture of the test split (39,457) is a
query among all others of the split (skip_first_result), and the main score is the hit rate at 1.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from consumers.quality.evaluation.datasets.retrieval_dataset import (
    DatasetFormat,
    Entry,
    RetrievalDataset,
    first_with,
    list_folder,
    list_pictures,
)
from consumers.quality.evaluation.labelled_dataset import LabelledImage
from consumers.quality.evaluation.rankings import Measure

SPLITS = ("test", "train")
PARENT = "all"


def find(folder: Path) -> Path | None:
    """The folder `all`, which has the splits."""
    candidates = tuple(parent / PARENT for parent in (folder, folder / "rp2k_dataset"))
    if folder.name == PARENT:
        candidates = (folder, *candidates)
    return first_with(candidates, *SPLITS)


def splits(root: Path) -> tuple[str, ...]:
    """The splits whose folders are there."""
    return tuple(split for split in SPLITS if (root / split).is_dir())


def read(root: Path, split: str) -> RetrievalDataset:
    """A split."""
    entries = partial(_entries, root / split)
    rule = "every picture of the split is a query among all the others of the split"
    return RetrievalDataset("RP2K", split, rule, Measure("recall", 1), entries, entries)


def _entries(folder: Path) -> Iterator[Entry]:
    for product in list_folder(folder):
        if (folder / product).is_dir():
            for name in list_pictures(folder / product):
                picture = f"{product}/{name}"
                yield LabelledImage(picture, folder / picture, product, identity=picture)


RP2K = DatasetFormat("rp2k", "RP2K", "all/test or all/train with a folder for each product", find, splits, read)
