"""Stanford Online Products: the lists are read, and each picture is searched among the others of its split."""

from pathlib import Path

import pytest

from consumers.quality.evaluation.datasets.formats import open_dataset
from consumers.quality.evaluation.ground_truth import GroundTruth
from infra.config.errors import BadInput
from tests.consumers.quality.evaluation.datasets.conftest import Select
from tests.consumers.quality.evaluation.made_datasets import make_sop


def test_every_picture_of_the_test_split_is_query_and_catalogue(tmp_path: Path, read: Select) -> None:
    chosen = read(make_sop(tmp_path))
    assert len(chosen.queries) == len(chosen.catalogue) == 27
    first = chosen.queries[0]
    assert (first.image, first.label, first.category) == ("disc_final/111085122870_0.JPG", "1", "disc")
    assert first.read().startswith(b"\xff\xd8")
    assert chosen.skipped == ()
    assert chosen.qrels is None


def test_the_protocol_is_recall_at_1_without_the_own_picture(tmp_path: Path, read: Select) -> None:
    dataset = open_dataset(make_sop(tmp_path), None, None)
    assert (dataset.name, dataset.split, dataset.measure.name) == ("Stanford Online Products", "test", "recall@1")
    chosen = read(tmp_path)
    truth = GroundTruth(tuple(chosen.catalogue), tuple(chosen.queries))
    assert [truth.position_of(row) for row in chosen.queries] == list(range(27))
    assert truth.qrels_of(chosen.queries[4])[0].tolist() == [3, 5]


def test_the_folder_of_the_archive_is_found_too(tmp_path: Path, read: Select) -> None:
    make_sop(tmp_path / "Stanford_Online_Products")
    assert len(read(tmp_path, "train").queries) == 3


def test_bad_lines_are_named_and_the_others_are_read(tmp_path: Path, read: Select) -> None:
    with (make_sop(tmp_path) / "Ebay_test.txt").open("a") as file:
        file.write("28 10\n\n29 10 1 ../../secret.jpg\n30 10 1 /etc/passwd\n31 1 1 disc_final/111085122870_0.JPG\n")
    chosen = read(tmp_path)
    assert len(chosen.queries) == len(chosen.catalogue) == 27
    assert {entry.name for entry in chosen.skipped} == {
        "Ebay_test.txt line 29",
        "Ebay_test.txt line 31",
        "Ebay_test.txt line 32",
        "disc_final/111085122870_0.JPG (queries)",
        "disc_final/111085122870_0.JPG (catalogue)",
    }


def test_a_picture_that_is_not_there_is_an_empty_one(tmp_path: Path, read: Select) -> None:
    (make_sop(tmp_path) / "disc_final" / "111085122870_0.JPG").unlink()
    chosen = read(tmp_path)
    assert len(chosen.queries) == 27
    assert [row.image for row in chosen.queries if not row.read()] == ["disc_final/111085122870_0.JPG"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"id class path\n", "begins with the columns id class path, not image_id class_id super_class_id path"),
        (b"", "begins with the columns none"),
        (b"image_id class_id super_class_id path\n", "split test, has no queries"),
        (b"\xff\xfe", "is no text in UTF-8"),
        (b"image_id class_id super_class_id path\n" + b"1" * 20_000, "a line of 10,000 characters or more"),
    ],
)
def test_a_list_of_another_form_is_refused(tmp_path: Path, read: Select, content: bytes, reason: str) -> None:
    (tmp_path / "Ebay_test.txt").write_bytes(content)
    with pytest.raises(BadInput, match=reason):
        read(tmp_path)
