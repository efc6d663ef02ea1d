"""MIEB's format: pictures, judgements with grades, and ids, in Parquet files of several layouts."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from consumers.quality.evaluation.datasets.formats import open_dataset
from consumers.quality.evaluation.ground_truth import GroundTruth
from infra.config.errors import BadInput
from tests.consumers.quality.evaluation.datasets.conftest import Select
from tests.consumers.quality.evaluation.made_datasets import draw_thing, encoded, make_mieb, write_pictures

PARTS = {
    "corpus": "corpus/test-00000-of-00001.parquet",
    "query": "queries/test-00000-of-00001.parquet",
    "qrels": "qrels/test-00000-of-00001.parquet",
}


def test_judged_queries_are_searched_in_the_corpus(tmp_path: Path, read: Select) -> None:
    chosen = read(make_mieb(tmp_path))
    assert [row.image for row in chosen.queries] == [f"q {n}" for n in range(9)]
    assert len(chosen.catalogue) == 27
    assert chosen.catalogue[7].image == "c2-1"
    assert chosen.catalogue[7].read() == encoded(draw_thing(2, 1))
    assert chosen.qrels is not None
    assert chosen.skipped == ()


def test_grades_are_read_and_the_very_picture_is_no_hit(tmp_path: Path, read: Select) -> None:
    chosen = read(make_mieb(tmp_path))
    truth = GroundTruth(tuple(chosen.catalogue), tuple(chosen.queries), 0, chosen.qrels)
    assert truth.position_of(chosen.queries[2]) == 6
    positions, grades = truth.qrels_of(chosen.queries[2])
    assert (positions.tolist(), grades.tolist()) == ([7, 8], [2, 1])


def test_the_protocol_is_the_hit_rate_at_1(tmp_path: Path) -> None:
    dataset = open_dataset(make_mieb(tmp_path / "rp2k"), None, None)
    assert (dataset.name, dataset.split, dataset.measure.name) == ("MIEB set rp2k", "test", "recall@1")


@pytest.mark.parametrize(
    "names",
    [
        ("corpus-00000-of-00001.parquet", "query-00000-of-00001.parquet", "qrels-00000-of-00001.parquet"),
        ("corpus.parquet", "query.parquet", "qrels.parquet"),
        ("corpus/corpus-00000-of-00001.parquet", "query/test-00000-of-00001.parquet", "qrels/test.parquet"),
        ("corpus/corpus/0000.parquet", "query/test/0000.parquet", "qrels/test/0000.parquet"),
        ("corpus/0000.parquet", "queries/0000.parquet", "data/test-00000-of-00001.parquet"),
    ],
)
def test_all_layouts_of_the_hub_are_found(tmp_path: Path, read: Select, names: tuple[str, str, str]) -> None:
    made, folder = make_mieb(tmp_path / "made"), tmp_path / "folder"
    for part, name in zip(PARTS.values(), names, strict=True):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (made / part).rename(folder / name)
    assert (len(read(folder).queries), len(read(folder).catalogue)) == (9, 27)


def test_a_part_of_several_files_is_read_in_their_order(tmp_path: Path, read: Select) -> None:
    folder = make_mieb(tmp_path)
    (folder / PARTS["corpus"]).unlink()
    for n in range(3):
        pictures = [encoded(draw_thing(number, n)) for number in range(9)]
        ids = [f"c{number}-{n}" for number in range(9)]
        write_pictures(folder / "corpus" / f"test-0000{n}-of-00003.parquet", pictures, {"_id": ids})
    catalogue = read(folder).catalogue
    assert [row.image for row in catalogue[8:11]] == ["c8-0", "c0-1", "c1-1"]
    assert catalogue[10].read() == encoded(draw_thing(1, 1))


def test_pictures_that_are_missing_are_named(tmp_path: Path, read: Select) -> None:
    folder = make_mieb(tmp_path)
    write_pictures(folder / PARTS["query"], [None, encoded(draw_thing(1, 0)), b"x"], {"id": ["q 0", "q 1", ""]})
    chosen = read(folder)
    assert [row.image for row in chosen.queries] == ["q 1"]
    assert [(entry.name, entry.reason) for entry in chosen.skipped] == [
        ("q 0", "it has no picture"),
        ("test-00000-of-00001.parquet row 2", "it has no id"),
    ]


def test_another_split_is_named(tmp_path: Path, read: Select) -> None:
    folder = make_mieb(tmp_path)
    (folder / PARTS["qrels"]).rename(folder / "qrels" / "dev-00000-of-00001.parquet")
    assert len(read(folder, "dev").queries) == 9
    with pytest.raises(BadInput, match="--split test: MIEB or MTEB retrieval has dev"):
        read(folder, "test")


@pytest.mark.parametrize(
    ("part", "columns", "reason"),
    [
        (
            "query",
            {"id": ["q 0"], "text": ["a red disc"]},
            "no column image.*only sets that search images by images",
        ),
        ("corpus", {"name": ["c0-1"], "image": [b"x"]}, "no column _id: its columns are name, image"),
        ("qrels", {"query-id": ["q 0"], "corpus-id": ["c0-1"]}, "no column score"),
        ("qrels", {"query-id": ["q 0"], "corpus-id": ["c0-1"], "score": ["good"]}, "the score `good`"),
        ("qrels", {"query-id": ["q 0"], "corpus-id": ["c0-1"], "score": [float("inf")]}, "the score `inf`"),
        ("qrels", {"query-id": ["q 0"], "corpus-id": ["c0-1"], "score": [0]}, "has no queries"),
    ],
)
def test_wrong_columns_are_refused(
    tmp_path: Path, read: Select, part: str, columns: dict[str, list[object]], reason: str
) -> None:
    folder = make_mieb(tmp_path)
    pq.write_table(pa.table(columns), folder / PARTS[part])
    with pytest.raises(BadInput, match=reason):
        read(folder)


def test_a_sample_holds_what_is_relevant_to_its_queries(tmp_path: Path, read: Select) -> None:
    chosen = read(make_mieb(tmp_path), limit=2)
    truth = GroundTruth(tuple(chosen.catalogue), tuple(chosen.queries), 0, chosen.qrels)
    assert len(chosen.queries) == 2
    assert len(chosen.catalogue) == 2 * 3 + 2
    assert [truth.qrels_of(row)[1].tolist() for row in chosen.queries] == [[2, 1]] * 2
