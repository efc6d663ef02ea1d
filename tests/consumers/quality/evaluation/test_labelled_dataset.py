"""Tables of labelled pictures: what is read, and how bad ones are refused."""

from pathlib import Path

import pytest

from consumers.quality.evaluation.labelled_dataset import (
    LabelColumns,
    TableSource,
    digest,
    parse_source,
    read_rows,
    sample,
)
from infra.config.errors import BadInput


def test_a_source_may_name_the_rows_to_take() -> None:
    assert parse_source("a/labels.csv") == TableSource(Path("a/labels.csv"))
    source = parse_source("labels.csv:split=val,split=test,category=Apple")
    assert source == TableSource(Path("labels.csv"), {"split": ("val", "test"), "category": ("Apple",)})


def test_a_condition_without_a_value_is_refused() -> None:
    with pytest.raises(BadInput, match="COLUMN=VALUE"):
        parse_source("labels.csv:split=val,category")


def test_rows_are_read_with_what_is_there(labels: Path) -> None:
    rows = read_rows(parse_source(f"{labels}:side=queries"), LabelColumns(same=("maker",)))
    assert len(rows) == 9
    assert (rows[0].label, rows[0].category, rows[0].colour) == ("red disc", "disc", "red")
    assert rows[0].values == {"maker": "maker red"}
    assert rows[0].path == labels.parent / "disc-red-0.png"


def test_a_table_needs_only_images_and_labels(tmp_path: Path, labels: Path) -> None:
    table = tmp_path / "small.csv"
    table.write_text("\ufeffimage,what\ndisc-red-0.png,disc\n", encoding="utf-8")
    [row] = read_rows(TableSource(table), LabelColumns("what"))
    assert (row.label, row.category, row.colour) == ("disc", "", "")


@pytest.mark.parametrize(
    ("text", "columns", "message"),
    [
        ("image,kind\nx.png,a\n", LabelColumns(), "no column label: its columns are image, kind"),
        ("label\na\n", LabelColumns(), "no column image"),
        ("image,label\nx.png,a\n", LabelColumns(category="kind"), "no column kind"),
        ("image,label\nx.png,a\n", LabelColumns(same=("maker",)), "no column maker"),
        ("image,label\n", LabelColumns(), "no rows"),
        ("", LabelColumns(), "its columns are none"),
        ("image,label\nx.png,\n", LabelColumns(), "a row without label"),
        ("image,label\nx.png,a\ny.png,a\n", LabelColumns(), "2 pictures of 2 in .* are not there"),
    ],
)
def test_bad_tables_are_refused_in_one_sentence(
    tmp_path: Path, text: str, columns: LabelColumns, message: str
) -> None:
    table = tmp_path / "labels.csv"
    table.write_text(text)
    with pytest.raises(BadInput, match=message):
        read_rows(TableSource(table), columns)


def test_missing_pictures_are_counted_and_some_are_named(labels: Path) -> None:
    for n in range(4):
        (labels.parent / f"ring-blue-{n}.png").unlink()
    with pytest.raises(BadInput, match=r"4 pictures of 36 .*ring-blue-0.png, .*, \.\.\.\): check --image-root"):
        read_rows(TableSource(labels), LabelColumns())


def test_a_file_that_is_no_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00image")
    with pytest.raises(BadInput, match="no CSV in UTF-8"):
        read_rows(TableSource(tmp_path / "binary.csv"), LabelColumns())
    with pytest.raises(BadInput, match="cannot be read"):
        read_rows(TableSource(tmp_path / "nowhere.csv"), LabelColumns())


def test_a_condition_that_no_row_meets_is_named(labels: Path) -> None:
    with pytest.raises(BadInput, match="no row with side=nowhere"):
        read_rows(parse_source(f"{labels}:side=nowhere"), LabelColumns())


def test_a_sample_is_the_same_for_a_seed_and_keeps_the_order() -> None:
    things = list(range(100))
    assert sample(things, 10, 5) == sample(things, 10, 5) == sorted(sample(things, 10, 5))
    assert sample(things, 10, 5) != sample(things, 10, 6)
    assert sample(things, 0, 5) == sample(things, 200, 5) == things


def test_a_digest_names_pictures_and_labels_whatever_their_order(labels: Path) -> None:
    rows = read_rows(TableSource(labels), LabelColumns())
    assert digest(rows) == digest(rows[::-1])
    assert digest(rows) != digest(rows[1:])
    assert digest(rows) != digest(read_rows(TableSource(labels), LabelColumns("category")))
