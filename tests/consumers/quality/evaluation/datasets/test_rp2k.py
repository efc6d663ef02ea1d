"""RP2K: a folder a product is a label, and each picture is searched among the others of its split."""

from pathlib import Path

from consumers.quality.evaluation.datasets.formats import open_dataset
from consumers.quality.evaluation.ground_truth import GroundTruth
from tests.consumers.quality.evaluation.datasets.conftest import Select
from tests.consumers.quality.evaluation.made_datasets import make_rp2k


def test_every_picture_of_the_test_split_is_query_and_catalogue(tmp_path: Path, read: Select) -> None:
    chosen = read(make_rp2k(tmp_path))
    assert len(chosen.queries) == len(chosen.catalogue) == 27
    assert {row.label for row in chosen.queries} == {row.image.split("/")[0] for row in chosen.queries}
    truth = GroundTruth(tuple(chosen.catalogue), tuple(chosen.queries))
    assert [len(truth.qrels_of(row)[0]) for row in chosen.queries] == [2] * 27
    assert chosen.skipped == ()


def test_the_protocol_is_recall_at_1_on_the_test_split(tmp_path: Path) -> None:
    dataset = open_dataset(make_rp2k(tmp_path), None, None)
    assert (dataset.name, dataset.split, dataset.measure.name) == ("RP2K", "test", "recall@1")


def test_the_folder_of_the_archive_and_all_itself_are_found(tmp_path: Path, read: Select) -> None:
    make_rp2k(tmp_path / "rp2k_dataset")
    for folder in (tmp_path, tmp_path / "rp2k_dataset" / "all"):
        [row] = read(folder, "train").queries
        assert (row.image, row.label) == ("盒装/0.jpg", "盒装")


def test_a_sample_holds_what_is_relevant_to_its_queries(tmp_path: Path, read: Select) -> None:
    chosen = read(make_rp2k(tmp_path), limit=2)
    assert len(chosen.queries) == 2
    truth = GroundTruth(tuple(chosen.catalogue), tuple(chosen.queries))
    labels = {row.label for row in chosen.queries}
    assert [len(truth.qrels_of(row)[0]) for row in chosen.queries] == [2, 2]
    assert len(chosen.catalogue) == 3 * len(labels) + 2
