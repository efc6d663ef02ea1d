"""LookBench: a subset's queries among its gallery and the noise; right is the same category and main attribute."""

from pathlib import Path

import pytest

from consumers.quality.evaluation.datasets.formats import open_dataset
from consumers.quality.evaluation.ground_truth import GroundTruth
from infra.config.errors import BadInput
from tests.consumers.quality.evaluation.datasets.conftest import Select
from tests.consumers.quality.evaluation.made_datasets import draw_thing, encoded, make_lookbench, write_pictures


def test_queries_are_searched_in_the_gallery_and_the_noise(tmp_path: Path, read: Select) -> None:
    chosen = read(make_lookbench(tmp_path))
    assert len(chosen.queries) == 9
    assert len(chosen.catalogue) == 27 + 6
    query = chosen.queries[4]
    assert (query.image, query.label, query.category) == (
        "real_studio_flat/query/4", "bar | #228833", "bar",
    )  # fmt: skip
    assert query.read() == encoded(draw_thing(4, 0))
    assert {(row.label, row.category) for row in chosen.catalogue[27:]} == {("", "")}
    truth = GroundTruth(tuple(chosen.catalogue), tuple(chosen.queries))
    assert truth.qrels_of(query)[0].tolist() == [12, 13, 14]
    assert truth.position_of(query) is None


def test_the_protocol_is_recall_at_1(tmp_path: Path) -> None:
    dataset = open_dataset(make_lookbench(tmp_path), None, None)
    assert (dataset.name, dataset.split) == ("LookBench v20251201", "real_studio_flat")
    assert dataset.measure.name == "recall@1"
    assert "noise" in dataset.rule


def test_the_newest_version_is_taken_and_a_version_may_be_named(tmp_path: Path) -> None:
    make_lookbench(tmp_path)
    (tmp_path / "v20251201").rename(tmp_path / "v20260601")
    make_lookbench(tmp_path)
    assert open_dataset(tmp_path, None, None).name == "LookBench v20260601"
    assert open_dataset(tmp_path / "v20251201", None, None).name == "LookBench v20251201"


def test_a_set_without_its_noise_says_so(tmp_path: Path, read: Select) -> None:
    (make_lookbench(tmp_path) / "v20251201" / "noise" / "gallery.parquet").unlink()
    assert "the noise, which belongs to it, is not there" in open_dataset(tmp_path, None, None).rule
    assert len(read(tmp_path).catalogue) == 27


def test_rows_without_attributes_are_named(tmp_path: Path, read: Select) -> None:
    file = make_lookbench(tmp_path) / "v20251201" / "real_studio_flat" / "query.parquet"
    pictures = [encoded(draw_thing(n, 0)) for n in range(2)]
    write_pictures(file, pictures, {"category": ["disc", "disc"], "main_attribute": ["#cc2222", None]})
    chosen = read(tmp_path)
    assert len(chosen.queries) == 1
    assert [entry.name for entry in chosen.skipped] == ["real_studio_flat/query/1"]


def test_missing_files_and_columns_are_refused(tmp_path: Path, read: Select) -> None:
    subset = make_lookbench(tmp_path) / "v20251201" / "real_studio_flat"
    write_pictures(subset / "gallery.parquet", [b"x"], {"category": ["disc"]})
    with pytest.raises(BadInput, match="no column main_attribute: its columns are image, category"):
        read(tmp_path)
    (subset / "gallery.parquet").write_bytes(b"PAR1 and so on")
    with pytest.raises(BadInput, match="no readable Parquet file"):
        read(tmp_path)
    (subset / "gallery.parquet").unlink()
    with pytest.raises(BadInput, match=r"gallery\.parquet is not there"):
        read(tmp_path)
