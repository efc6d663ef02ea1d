"""ILIAS: particular objects, with queries and positives for each, among up to 100 million distractors.

Layout: ilias_core/OBJECT/query/Q000_00.jpg and ilias_core/OBJECT/pos/P000_00.jpg, each with a file
Q000_00_bbox.txt of lines `x y width height` in pixels; distractors in yfcc100m/*.tar, 100,000 a shard. Categories
are those of taxonomy.json, where it was copied there from misc/. Source: download/README.md,
download/download_ilias.sh and feature_extraction/src/datasets/generators.py of https://github.com/ilias-vrg/ilias.
Protocol: evaluation/src/dataset.py there: image queries among all positives and distractors; positives of the
query's object are relevant; mAP@1000. Queries are whole pictures; the split `crops` cuts them to the box around
all of their boxes, as its option crop_resize does.
"""

import json
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from consumers.quality.evaluation.datasets.retrieval_dataset import (
    DatasetFormat,
    Entry,
    RetrievalDataset,
    SkippedEntry,
    category_name,
    list_folder,
    list_pictures,
    read_lines,
)
from consumers.quality.evaluation.labelled_dataset import LabelledImage
from consumers.quality.evaluation.picture_source import FileSlice
from consumers.quality.evaluation.rankings import Measure
from infra.array_types import Box
from infra.config.errors import BadInput
from infra.console import format_count
from infra.images.formats import is_picture_name

CORE, DISTRACTORS, TAXONOMY = "ilias_core", "yfcc100m", "taxonomy.json"
WHOLE, CROPS = "images", "crops"
MAX_TAXONOMY = 4_000_000
"""Bytes of the taxonomy, which has 1,000 names."""


def find(folder: Path) -> Path | None:
    """The folder that has ilias_core."""
    return folder if (folder / CORE).is_dir() else None


def splits(_root: Path) -> tuple[str, ...]:
    """Whole queries, or queries that are cut to their boxes."""
    return (WHOLE, CROPS)


def read(root: Path, split: str) -> RetrievalDataset:
    """The whole set."""
    shards = [root / DISTRACTORS / name for name in _shards(root)]
    cut = "cut to their boxes" if split == CROPS else "whole"
    distractors = f"the distractors in {format_count(len(shards), 'archive', 'archives')}"
    rule = f"queries, {cut}, are searched among the positives of all objects and {distractors}"
    categories = _read_taxonomy(root / TAXONOMY)
    queries, positives = (partial(_core, root / CORE, categories, part) for part in ("query", "pos"))
    return RetrievalDataset(
        "ILIAS", split, rule, Measure("mAP", 1_000),
        partial(_cropped, queries) if split == CROPS else queries,
        lambda: (entry for entries in (positives(), *map(_shard, shards)) for entry in entries),
    )  # fmt: skip


def _shards(root: Path) -> list[str]:
    folder = root / DISTRACTORS
    return [name for name in list_folder(folder) if name.endswith(".tar")] if folder.is_dir() else []


def _core(core: Path, categories: dict[str, str], part: str) -> Iterator[Entry]:
    """The pictures of one part of all objects."""
    for name in list_folder(core):
        folder = core / name / part
        for picture in list_pictures(folder) if folder.is_dir() else ():
            category = categories.get(name, "")
            image = f"{name}/{part}/{picture}"
            yield LabelledImage(image, folder / picture, name, category, identity=image)


def _cropped(queries: partial[Iterator[Entry]]) -> Iterator[Entry]:
    for entry in queries():
        if isinstance(entry, SkippedEntry):
            yield entry
            continue
        box = _read_box(entry.path.with_name(f"{entry.path.stem}_bbox.txt"))
        yield SkippedEntry(entry.image, "it has no box") if box is None else replace(entry, box=box)


def _read_box(file: Path) -> Box | None:
    """The box around all boxes of a picture; None when there is none."""
    try:
        boxes = [tuple(map(int, line.split())) for line in read_lines(file) if line.strip()]
        edges = [(x, y, x + width, y + height) for x, y, width, height in boxes]
    except (BadInput, ValueError):
        return None
    if not edges:
        return None
    lefts, tops, rights, bottoms = zip(*edges, strict=True)
    largest = 1_000_000
    return (
        float(max(min(lefts), 0)), float(max(min(tops), 0)), float(min(max(rights), largest)),
        float(min(max(bottoms), largest)),
    )  # fmt: skip


class ShardArchive(tarfile.TarFile):
    """A tar archive that is read once and does not store its members: a shard has 100,000."""

    members: list[tarfile.TarInfo]

    def next(self) -> tarfile.TarInfo | None:
        """The next member; None at the end, and at anything that is no member."""
        member = super().next()
        self.members.clear()
        return member


def _shard(file: Path) -> Iterator[Entry]:
    """The pictures of a tar archive, which stay in it; nothing is unpacked."""
    try:
        with ShardArchive.open(file, "r:") as archive:
            while (member := archive.next()) is not None:
                is_stored = member.isreg() and not member.issparse() and member.size >= 0
                if is_stored and is_picture_name(member.name):
                    place = FileSlice(file, member.offset_data, member.size)
                    name = f"{file.name}/{member.name}"
                    yield LabelledImage(name, file, source=place, identity=name)
            # tarfile takes anything that is no header for the end, which is a block of zeros or that of the file.
            if any(FileSlice(file, archive.offset, tarfile.BLOCKSIZE).read()):
                raise tarfile.ReadError(f"no header at byte {archive.offset:,}")
    except (OSError, tarfile.TarError, ValueError) as error:
        yield SkippedEntry(f"{DISTRACTORS}/{file.name}", f"the archive is damaged ({error}): the rest is not read")


def _read_taxonomy(file: Path) -> dict[str, str]:
    """The coarse category of each object: the file is {coarse: {middle: {fine: [objects]}}}."""
    try:
        with file.open("rb") as content:
            taxonomy = json.loads(content.read(MAX_TAXONOMY))
        return {
            str(name): category_name(str(coarse))
            for coarse, middles in taxonomy.items()
            for fines in middles.values()
            for names in fines.values()
            for name in names
        }
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, AttributeError, TypeError, RecursionError):
        raise BadInput(f"{file} is no taxonomy of ILIAS: copy misc/taxonomy.json of its repository") from None


ILIAS = DatasetFormat("ilias", "ILIAS", "ilias_core, and yfcc100m with shards of distractors", find, splits, read)
