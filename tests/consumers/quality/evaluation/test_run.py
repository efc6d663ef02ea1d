"""An evaluation of a public set, whole, on a system that compares pixels: protocol, measure and headline."""

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from consumers.quality.evaluation.datasets.formats import open_dataset
from consumers.quality.evaluation.datasets.selection import select
from consumers.quality.evaluation.failure_sheet import draw_failures, worst_failures
from consumers.quality.evaluation.regression import compare, read_baseline
from consumers.quality.evaluation.report import print_result
from consumers.quality.evaluation.results import EvaluationResult, as_json
from consumers.quality.evaluation.run import EvaluationInput, EvaluationOutput, evaluate
from infra.config.errors import BadInput
from tests.consumers.quality.evaluation.made_datasets import MAKERS, make_ilias, make_mieb, make_rp2k, make_sop
from tests.consumers.quality.evaluation.pixel_system import PixelSystem, pixel_setup

CHECKED = {
    "sop": (27, 27, "recall@1", 0.8),
    "rp2k": (27, 27, "recall@1", 0.8),
    "deepfashion2": (9, 18, "recall@20", 1),
    "ilias": (9, 28, "mAP@1000", 0.2),  # the object takes half of the query
    "mieb": (9, 27, "recall@1", 0.8),
    "lookbench": (9, 33, "recall@1", 0.8),
}
"""Queries, pictures, official measure, and its least value, of the made set of each format."""


def read(folder: Path, split: str | None = None) -> EvaluationInput:
    dataset = open_dataset(folder, split, None)
    chosen = select(dataset, 0, 0)
    return EvaluationInput(
        chosen.catalogue, chosen.queries, robustness=0, dataset=dataset, qrels=chosen.qrels, skipped=chosen.skipped
    )


def run(data: EvaluationInput) -> EvaluationOutput:
    return evaluate(data, pixel_setup(PixelSystem()))


def headline(figures: EvaluationResult) -> str:
    out = io.StringIO()
    print_result(figures, Console(file=out, width=300))
    return out.getvalue()


@pytest.mark.parametrize("name", MAKERS)
def test_each_set_is_evaluated_by_its_protocol(tmp_path: Path, name: str) -> None:
    figures = run(read(MAKERS[name](tmp_path))).figures
    queries, pictures, measure, least = CHECKED[name]
    assert (figures.counts.queries, figures.counts.catalogue) == (queries, pictures)
    assert (figures.counts.unanswerable, figures.counts.unreadable) == (0, ())
    assert figures.protocol is not None
    assert figures.protocol.measure == measure
    assert figures.protocol.value.value >= least
    text = headline(figures)
    assert f"{figures.protocol.dataset}, split {figures.protocol.split}: {figures.protocol.rule}" in text
    assert f"official measure {measure}: " in text
    document = json.loads(as_json(figures))
    assert document["protocol"]["measure"] == measure
    assert document["protocol"]["value"]["value"] == pytest.approx(figures.protocol.value.value, abs=1e-4)


@pytest.mark.parametrize("maker", [make_sop, make_rp2k, make_mieb])
def test_a_query_is_no_hit_of_its_own_search(tmp_path: Path, maker: Callable[[Path], Path]) -> None:
    output = run(read(maker(tmp_path)))
    for row, result in zip(output.trial.queries, output.results, strict=True):
        assert result.hits
        own = output.trial.position_of(row)
        assert own is not None
        assert f"c{own}" not in {hit.item_id for hit in result.hits}


def test_pictures_that_are_not_there_are_counted_and_named_and_others_go_on(tmp_path: Path) -> None:
    folder = make_sop(tmp_path)
    (folder / "disc_final" / "111085122870_0.JPG").unlink()
    (folder / "disc_final" / "111085122870_1.JPG").write_bytes(b"no picture")
    with (folder / "Ebay_test.txt").open("a") as file:
        file.write("one two\n")
    figures = run(read(folder)).figures
    assert (figures.counts.queries, figures.counts.catalogue, figures.counts.unanswerable) == (25, 25, 1)
    assert figures.counts.unreadable == ("disc_final/111085122870_0.JPG", "disc_final/111085122870_1.JPG")
    text = headline(figures)
    assert "2 pictures cannot be read: disc_final/111085122870_0.JPG, " in text
    assert "1 entry of the set cannot be used: Ebay_test.txt line 29 (it is not `image_id" in text
    assert "1 query scored 0: nothing in the catalogue is relevant" in text


def test_misses_lower_the_official_measure(tmp_path: Path) -> None:
    folder = make_ilias(tmp_path)
    whole = run(read(folder)).figures.protocol
    for n in range(9):
        for positive in (folder / "ilias_core" / f"funny_name_{n:03}" / "pos").glob("*.jpg"):
            if n % 2:
                positive.unlink()
    holed = run(read(folder)).figures
    assert whole is not None
    assert holed.protocol is not None
    assert holed.counts.unanswerable == 4
    assert holed.counts.queries == 9
    assert holed.protocol.value.value <= 5 / 9


def test_a_damaged_archive_of_distractors_is_told(tmp_path: Path) -> None:
    (make_ilias(tmp_path) / "yfcc100m" / "yfcc100m_00001.tar").write_bytes(b"\x55" * 2_048)
    assert "1 entry of the set cannot be used: yfcc100m/yfcc100m_00001.tar (the archive" in headline(
        run(read(tmp_path)).figures
    )


def test_a_set_of_which_nothing_can_be_answered_is_refused(tmp_path: Path) -> None:
    folder = make_ilias(tmp_path)
    for positive in folder.glob("ilias_core/*/pos/*.jpg"):
        positive.unlink()
    with pytest.raises(BadInput, match="no query has its label in the catalogue"):
        run(read(folder))


def test_the_crops_of_ilias_are_searched_by_their_boxes(tmp_path: Path) -> None:
    output = run(read(make_ilias(tmp_path), "crops"))
    assert output.figures.protocol is not None
    assert "cut to their boxes" in output.figures.protocol.rule


def test_a_ranking_for_a_run_file_is_as_deep_as_requested(tmp_path: Path) -> None:
    data = read(make_sop(tmp_path))
    assert run(data).rankings is None
    rankings = run(replace(data, rank_depth=100)).rankings
    assert rankings is not None
    assert rankings.positions.shape == (27, 100)
    assert [(row >= 0).sum() for row in rankings.positions] == [26] * 27


def test_two_runs_on_a_set_compare(tmp_path: Path) -> None:
    figures = run(read(make_mieb(tmp_path / "set"))).figures
    (tmp_path / "before.json").write_text(as_json(figures))
    assert compare(figures, read_baseline(tmp_path / "before.json")).regressions == []


def test_failures_of_a_set_without_labels_are_drawn(tmp_path: Path) -> None:
    output = run(read(make_mieb(tmp_path)))
    sheet = draw_failures(worst_failures(output.trial, output.results, output.relevance))
    assert sheet.mode == "RGB"
