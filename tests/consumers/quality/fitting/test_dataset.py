"""Where pictures to fit on come from, and how bad sources are refused."""

from pathlib import Path

import pytest

from consumers.quality.fitting.dataset import DatasetOptions, read_dataset
from infra.config.errors import BadInput


def test_sub_folders_are_labels(shop: Path) -> None:
    rows = read_dataset(DatasetOptions(shop))
    assert len(rows) == 18
    assert {row.label for row in rows} == {"disc", "bar", "ring"}
    assert all(row.path.is_file() for row in rows)


def test_a_folder_of_loose_pictures_has_no_labels(shop: Path) -> None:
    assert {row.label for row in read_dataset(DatasetOptions(shop / "disc"))} == {""}


def test_a_table_in_the_folder_says_more_than_its_sub_folders(shop: Path) -> None:
    table = "image,split,label,kind\ndisc/0.png,train,a,x\ndisc/1.png,train,b,y\nbar/0.png,val,c,z\n"
    (shop / "labels.csv").write_text(table)
    assert [row.label for row in read_dataset(DatasetOptions(shop, where=("split=train",)))] == ["a", "b"]
    assert [row.label for row in read_dataset(DatasetOptions(shop, label="kind"))] == ["x", "y", "z"]


def test_a_table_without_the_usual_column_has_no_labels(shop: Path) -> None:
    (shop / "all.csv").write_text("image,name\ndisc/0.png,x\n")
    assert [row.label for row in read_dataset(DatasetOptions(shop / "all.csv"))] == [""]


def test_bad_sources_are_refused_in_one_sentence(shop: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (shop / "loose.png").write_bytes(b"")
    for options, message in (
        (DatasetOptions(tmp_path / "empty"), "has no pictures"),
        (DatasetOptions(shop), "both in sub-folders"),
        (DatasetOptions(shop / "disc", where=("split=train",)), "are for tables"),
        (DatasetOptions(tmp_path / "nowhere.csv"), "cannot be read"),
    ):
        with pytest.raises(BadInput, match=message):
            read_dataset(options)
    (shop / "labels.csv").write_text("image,label\ndisc/0.png,x\n")
    for options, message in (
        (DatasetOptions(shop, where=("split",)), "write COLUMN=VALUE"),
        (DatasetOptions(shop, label="kind"), "no column kind"),
    ):
        with pytest.raises(BadInput, match=message):
            read_dataset(options)
