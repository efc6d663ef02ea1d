"""DeepFashion2, consumer-to-shop clothes retrieval: photos of customers and of shops, with a box for each garment.

Layout: validation/image/000001.jpg and validation/annos/000001.json, the same for train. An annotation has
`source` (`user` or `shop`), `pair_id`, and for each garment `item1`, `item2`, ... with `category_name`, `style`
and `bounding_box` [x1, y1, x2, y2] in pixels from the upper left. Source: README.md, "Data Organization" and "Data
Description", and evaluation/deepfashion2_to_coco.py of https://github.com/switchablenorms/DeepFashion2.
Protocol: evaluation/evaluation.md and deepfashion2_api/PythonAPI/deepfashion2_retrieval_test.py there, with ground
truth boxes: each garment of a user's photo with a style above 0 is a query, each garment of a shop's photo is in
the catalogue, and those with the query's pair_id and style are relevant; top-20 accuracy.
"""

import json
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
    list_folder,
)
from consumers.quality.evaluation.labelled_dataset import LabelledImage
from consumers.quality.evaluation.rankings import Measure
from infra.array_types import Box

SPLITS = ("validation", "train")
QUERY_SOURCE, CATALOGUE_SOURCE = "user", "shop"
MAX_ANNOTATION = 4_000_000
"""Bytes of an annotation; the outlines of all garments of a photo take up to about 100,000."""

LARGEST_EDGE = 1_000_000
"""Pixels; also keeps out NaN and infinity, which Python reads in JSON."""


def find(folder: Path) -> Path | None:
    """The folder with the splits."""
    return first_with((folder,), *(f"{split}/annos" for split in SPLITS))


def splits(root: Path) -> tuple[str, ...]:
    """The splits whose annotations are there; those of the test split are not public."""
    return tuple(split for split in SPLITS if (root / split / "annos").is_dir())


def read(root: Path, split: str) -> RetrievalDataset:
    """A split."""
    rule = "garments of customers' photos, cut out by their boxes, are searched among all garments of shops' photos"
    entries = partial(_entries, root / split)
    return RetrievalDataset(
        "DeepFashion2", split, rule, Measure("recall", 20), partial(entries, QUERY_SOURCE),
        partial(entries, CATALOGUE_SOURCE),
    )  # fmt: skip


def _entries(folder: Path, source: str) -> Iterator[Entry]:
    """The garments of the photos from one source; garments with style 0 have no label, and are no queries."""
    for name in list_folder(folder / "annos"):
        if name.endswith(".json"):
            annotation = _read_annotation(folder / "annos" / name)
            if isinstance(annotation, SkippedEntry):
                yield annotation
            elif annotation.get("source") == source:
                garments = _garments(folder / "image" / f"{name.removesuffix('.json')}.jpg", annotation)
                yield from (each for each in garments if source == CATALOGUE_SOURCE or _is_query(each))


def _is_query(entry: Entry) -> bool:
    return isinstance(entry, SkippedEntry) or entry.label != ""


def _read_annotation(file: Path) -> dict[str, object] | SkippedEntry:
    try:
        with file.open("rb") as content:
            data = content.read(MAX_ANNOTATION + 1)
        annotation = json.loads(data) if len(data) <= MAX_ANNOTATION else None
    except OSError as error:
        return SkippedEntry(f"annos/{file.name}", f"it cannot be read ({error.strerror})")
    except (ValueError, RecursionError):
        return SkippedEntry(f"annos/{file.name}", "it is no JSON")
    return annotation if isinstance(annotation, dict) else SkippedEntry(f"annos/{file.name}", "it is no annotation")


def _garments(picture: Path, annotation: dict[str, object]) -> Iterator[Entry]:
    for key in sorted(key for key in annotation if key.startswith("item")):
        name, garment = f"{picture.parent.parent.name}/{picture.stem}/{key}", annotation[key]
        box = _box(garment.get("bounding_box")) if isinstance(garment, dict) else None
        if box is None or not isinstance(garment, dict):
            yield SkippedEntry(name, "its bounding_box is not [x1, y1, x2, y2]")
            continue
        style, pair, category = garment.get("style"), annotation.get("pair_id"), garment.get("category_name")
        is_pair = isinstance(style, int) and style > 0 and isinstance(pair, int)
        label = f"pair {pair} style {style}" if is_pair else ""
        category = category_name(category) if isinstance(category, str) else ""
        yield LabelledImage(name, picture, label, category, box=box, identity=name)


def _box(value: object) -> Box | None:
    """A bounding box; None when it is no list of four numbers of pixels."""
    if not isinstance(value, list) or len(value) != 4:
        return None
    edges = [float(edge) for edge in value if isinstance(edge, int | float) and abs(edge) < LARGEST_EDGE]
    return (edges[0], edges[1], edges[2], edges[3]) if len(edges) == 4 else None


DEEPFASHION2 = DatasetFormat(
    "deepfashion2", "DeepFashion2", "validation/annos and validation/image, or those of train", find, splits, read
)
