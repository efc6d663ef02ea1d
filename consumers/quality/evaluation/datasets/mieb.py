"""MIEB's retrieval format: image-to-image tasks of MTEB, with pictures and judgements in Parquet files.

Layout: the configurations `corpus`, `query` or `queries`, and `qrels` or `default`, each as
NAME-00000-of-00001.parquet, NAME/SPLIT-00000-of-00001.parquet, NAME/SPLIT/0000.parquet or NAME.parquet (for
`default` also data/). Pictures have `id` or `_id`, and `image`; judgements `query-id`, `corpus-id` and `score`.
Source: HFDataLoader in mteb/abstasks/Image/AbsTaskAny2AnyRetrieval.py and
mteb/abstasks/retrieval_dataset_loaders.py of https://github.com/embeddings-benchmark/mteb, and the folders of its
sets on the hub, for example JamieSJS/rp2k.
Protocol: there: queries with a judgement, scores as grades; the hit rate at 1 (`cv_recall_at_1`), which is the
main score of its product tasks. The query's very picture is no hit (`skip_first_result` of SOPI2IRetrieval and
others).
"""

import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from consumers.quality.evaluation.datasets.parquet_pictures import check_columns, choose_column, digests, read_rows
from consumers.quality.evaluation.datasets.retrieval_dataset import (
    DatasetFormat,
    Entry,
    RetrievalDataset,
    SkippedEntry,
)
from consumers.quality.evaluation.labelled_dataset import LabelledImage
from consumers.quality.evaluation.qrels import Judgement
from consumers.quality.evaluation.rankings import Measure
from infra.config.errors import BadInput

CORPUS, QUERIES, QRELS = ("corpus",), ("query", "queries"), ("qrels", "default", "data")
"""The names that a part has in different sets."""
IMAGE = "image"
IDS = ("id", "_id")
QREL_COLUMNS = ("query-id", "corpus-id", "score")
SHARD = re.compile(r"(?:(?P<split>.+?)-)?(?:\d+-of-\d+|\d+)\.parquet")
"""The name of a file in the folder of a part: SPLIT-00000-of-00001.parquet or 0000.parquet."""
DEFAULT_SPLIT = "test"


def find(folder: Path) -> Path | None:
    """The folder itself, when it has all three parts."""
    parts = (CORPUS, QUERIES, QRELS)
    return folder if folder.is_dir() and all(_files_by_split(folder, names) for names in parts) else None


def splits(root: Path) -> tuple[str, ...]:
    """The splits of the judgements, `test` first."""
    found = _files_by_split(root, QRELS)
    return tuple(sorted((split or DEFAULT_SPLIT for split in found), key=lambda split: split != DEFAULT_SPLIT))


def read(root: Path, split: str) -> RetrievalDataset:
    """A split. Raises BadInput when a column is missing, as in sets whose queries or answers are texts."""
    corpus, queries, qrels = (_files(root, names, split) for names in (CORPUS, QUERIES, QRELS))
    check_columns(qrels, QREL_COLUMNS)
    rule = "queries that have a judgement are searched in the corpus, without the query's very picture"
    return RetrievalDataset(
        f"MIEB set {root.resolve().name}", split, rule, Measure("recall", 1), _pictures(queries), _pictures(corpus),
        partial(_judgements, qrels),
    )  # fmt: skip


def _pictures(files: Sequence[Path]) -> Callable[[], Iterator[Entry]]:
    try:
        check_columns(files, (IMAGE,))
    except BadInput as error:
        raise BadInput(f"{error}; only sets that search images by images can be evaluated") from None
    return partial(_entries, files, choose_column(files, IDS))


def _entries(files: Sequence[Path], id_column: str) -> Iterator[Entry]:
    rows = read_rows(files, (id_column,))
    for number, (row, digest) in enumerate(zip(rows, digests(files, IMAGE), strict=True)):
        name = row.values[0]
        if not name:
            yield SkippedEntry(f"{row.file.name} row {number}", "it has no id")
        elif not digest:
            yield SkippedEntry(name, "it has no picture")
        else:
            yield LabelledImage(name, row.file, source=row.picture(IMAGE), identity=digest)


def _judgements(files: Sequence[Path]) -> Iterator[Judgement]:
    """The judgements; MTEB takes scores as whole numbers."""
    for row in read_rows(files, QREL_COLUMNS):
        query, picture, score = row.values
        try:
            yield Judgement(query, picture, int(float(score)))
        except (ValueError, OverflowError):
            raise BadInput(
                f"{row.file} has the score `{score[:40]}` for query {query[:80]}: it is no number"
            ) from None


def _files(root: Path, names: Sequence[str], split: str) -> list[Path]:
    """The files of a part: those of the split, or of the only split that it has, as MTEB takes them."""
    found = _files_by_split(root, names)
    if split in found or len(found) == 1:
        return found[split] if split in found else next(iter(found.values()))
    there = ", ".join(name or "without a name" for name in found)
    raise BadInput(f"{root} has no split {split} of {' or '.join(names)}: it has {there}")


def _files_by_split(root: Path, names: Sequence[str]) -> dict[str, list[Path]]:
    """The files of a part, by split, which is empty where names tell none. The first name with files counts."""
    for name in names:
        found: dict[str, list[Path]] = {}
        top = sorted(root.glob(f"{name}-*-of-*.parquet")) or sorted(root.glob(f"{name}.parquet"))
        if top:
            return {"": top}
        for file in sorted((root / name).glob("*.parquet")):
            match = SHARD.fullmatch(file.name)
            split = (match["split"] or "") if match else file.stem
            found.setdefault(split, []).append(file)
        for file in sorted((root / name).glob("*/*.parquet")):
            found.setdefault(file.parent.name, []).append(file)
        if found:
            return found
    return {}


MIEB = DatasetFormat(
    "mieb", "MIEB or MTEB retrieval", "Parquet files of corpus, query (or queries) and qrels", find, splits, read
)
