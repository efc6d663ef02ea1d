"""Formats: each is recognised by its own files, and an unknown folder is told what would be one."""

from pathlib import Path

import pytest

from consumers.quality.evaluation.commands import DATASET_FORMATS
from consumers.quality.evaluation.datasets.formats import FORMATS, open_dataset
from infra.config.errors import BadInput
from tests.consumers.quality.evaluation.made_datasets import MAKERS


@pytest.mark.parametrize("name", MAKERS)
def test_each_format_is_recognised_and_no_other_one(tmp_path: Path, name: str) -> None:
    folder = MAKERS[name](tmp_path)
    assert [each.name for each in FORMATS if each.find(folder) is not None] == [name]
    assert open_dataset(folder, None, None).rule == open_dataset(folder, None, name).rule


def test_the_help_names_all_formats() -> None:
    assert tuple(each.name for each in FORMATS) == DATASET_FORMATS
    assert set(MAKERS) == set(DATASET_FORMATS)


def test_an_unknown_folder_is_told_what_each_format_has(tmp_path: Path) -> None:
    with pytest.raises(BadInput) as error:
        open_dataset(tmp_path, None, None)
    for each in FORMATS:
        assert f"{each.name} ({each.title}): {each.layout}" in str(error.value)
    with pytest.raises(BadInput, match="nowhere is no folder"):
        open_dataset(tmp_path / "nowhere", None, None)


def test_a_named_format_that_the_folder_has_not_is_refused(tmp_path: Path) -> None:
    MAKERS["sop"](tmp_path)
    with pytest.raises(BadInput, match=r"What a folder must have: rp2k \(RP2K\)"):
        open_dataset(tmp_path, None, "rp2k")
    with pytest.raises(BadInput, match="--format coco: the formats are lookbench, ilias"):
        open_dataset(tmp_path, None, "coco")


def test_a_folder_of_two_formats_needs_a_name(tmp_path: Path) -> None:
    for name in ("sop", "rp2k"):
        MAKERS[name](tmp_path)
    with pytest.raises(BadInput, match="may be of sop and rp2k: name one with --format"):
        open_dataset(tmp_path, None, None)
    assert open_dataset(tmp_path, None, "rp2k").name == "RP2K"


def test_a_split_that_is_not_there_is_refused_with_those_that_are(tmp_path: Path) -> None:
    MAKERS["sop"](tmp_path)
    with pytest.raises(BadInput, match="--split validation: Stanford Online Products has test, train"):
        open_dataset(tmp_path, "validation", None)


def test_marks_that_are_no_files_are_no_split(tmp_path: Path) -> None:
    (tmp_path / "Ebay_test.txt").mkdir()
    with pytest.raises(BadInput, match="has no split of Stanford Online Products"):
        open_dataset(tmp_path, None, None)
