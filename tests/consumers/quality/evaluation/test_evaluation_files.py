"""What the options of `evaluate` name: pictures of tables or of a set, in one of two ways, and files to write."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from consumers.quality.evaluation.commands import EvaluateOptions
from consumers.quality.evaluation.evaluation_files import check_outputs, read_input, write_outputs
from consumers.quality.evaluation.run import evaluate
from infra.config.errors import BadInput
from tests.consumers.quality.evaluation.made_datasets import make_ilias, make_mieb, make_sop
from tests.consumers.quality.evaluation.pixel_system import PixelSystem, pixel_setup


def test_tables_are_read_with_their_columns(labels: Path, off_topic: Path) -> None:
    options = EvaluateOptions(
        catalog=f"{labels}:side=catalogue", queries=f"{labels}:side=queries", off_topic=str(off_topic),
        same=["maker"], robustness=7, seed=3,
    )  # fmt: skip
    data = read_input(options)
    assert (len(data.catalogue), len(data.queries), len(data.off_topic_images)) == (27, 9, 4)
    assert (data.same, data.robustness, data.seed, data.rank_depth) == (("maker",), 7, 3, 0)
    assert (data.dataset, data.qrels, data.skipped) == (None, None, ())
    limited = read_input(replace(options, limit=2))
    assert (len(limited.catalogue), len(limited.queries), len(limited.off_topic_images)) == (2, 2, 2)


def test_a_set_is_read_with_its_protocol(tmp_path: Path) -> None:
    options = EvaluateOptions(dataset=make_mieb(tmp_path), robustness=0, run=tmp_path / "run")
    data = read_input(options)
    assert data.dataset is not None
    assert data.dataset.rule.endswith("without the query's very picture")
    assert data.qrels is not None
    assert (len(data.catalogue), len(data.queries), data.rank_depth) == (27, 9, 100)
    sampled = read_input(replace(options, limit=4))
    assert sampled.dataset is not None
    assert sampled.dataset.rule.endswith("a sample (--limit 4), which is easier than the whole set")
    assert (len(sampled.catalogue), len(sampled.queries)) == (16, 4)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({}, "either --catalog and --queries with tables, or --dataset"),
        ({"catalog": "a.csv"}, "either --catalog and --queries with tables, or --dataset"),
        ({"catalog": "a.csv", "queries": "a.csv", "split": "test"}, "which --split and --format belong to"),
        ({"dataset": Path("nowhere")}, "--dataset nowhere is no folder"),
        (
            {"dataset": Path("nowhere"), "catalog": "a.csv"},
            "--dataset reads all from the set: leave out the tables",
        ),
        (
            {"dataset": Path("nowhere"), "category": "kind"},
            "--dataset reads all from the set: leave out the tables",
        ),
    ],
)
def test_pictures_are_named_in_one_of_two_ways(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(BadInput, match=reason):
        read_input(EvaluateOptions(**options))


def options(name: str, file: Path) -> dict[str, Any]:
    """One option that names a file."""
    return {name: file}


@pytest.mark.parametrize("name", ["sheet", "run", "qrels"])
def test_a_file_that_cannot_be_written_is_refused_before_the_evaluation(tmp_path: Path, name: str) -> None:
    for file in (tmp_path, tmp_path / "nowhere" / "file"):
        with pytest.raises(BadInput, match=f"--{name} .* cannot be written: name a file in a folder that exists"):
            check_outputs(EvaluateOptions(**options(name, file)))
    check_outputs(EvaluateOptions(**options(name, tmp_path / "file")))


def test_all_files_that_are_named_are_written(tmp_path: Path) -> None:
    folder = make_ilias(tmp_path / "set")
    options = EvaluateOptions(
        dataset=folder, robustness=0, sheet=tmp_path / "sheet.png", run=tmp_path / "run", qrels=tmp_path / "qrels"
    )
    write_outputs(options, evaluate(read_input(options), pixel_setup(PixelSystem())))
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.format == "PNG"
    run = [line.split() for line in (tmp_path / "run").read_text().splitlines()]
    assert len(run) == 9 * 28
    assert {(len(line), line[1], line[5]) for line in run} == {(6, "Q0", "lookstream-pixels:1")}
    qrels = [line.split() for line in (tmp_path / "qrels").read_text().splitlines()]
    assert [line[0] for line in qrels[:3]] == ["funny_name_000/query/Q000_00.jpg"] * 2 + [
        "funny_name_001/query/Q001_00.jpg"
    ]
    assert {(line[1], line[3]) for line in qrels} == {("0", "1")}


def test_without_names_nothing_is_written(tmp_path: Path) -> None:
    options = EvaluateOptions(dataset=make_sop(tmp_path), robustness=0, limit=3)
    before = sorted(tmp_path.rglob("*"))
    write_outputs(options, evaluate(read_input(options), pixel_setup(PixelSystem())))
    assert sorted(tmp_path.rglob("*")) == before
