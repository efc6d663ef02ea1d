"""Two runs side by side: a planted regression is found, noise is not, and what does not compare is refused."""

import json
from pathlib import Path

import numpy as np
import pytest

from consumers.quality.evaluation.ranking_metrics import DEPTH
from consumers.quality.evaluation.regression import BaselineRun, compare, read_baseline
from consumers.quality.evaluation.results import EvaluationResult, QueryCounts, QueryResult, as_json
from infra.config.errors import BadInput


def run(right: list[str], catalogue: str = "same", label: str = "disc") -> EvaluationResult:
    queries = tuple(QueryResult(f"{n}.png", label, 5, marks) for n, marks in enumerate(right))
    return EvaluationResult(
        through="direct", encoder="fake:1", catalogue=catalogue, seed=0, counts=QueryCounts(9, len(right), 0, ()),
        weightings={}, by_category={}, by_colour={}, filtered={}, calibration={}, strict=None, off_topic=None,
        categories=None, engine_recall=None, colours=None, colour_hits=None, same={}, robustness=None,
        queries=queries,
    )  # fmt: skip


def earlier(figures: EvaluationResult) -> BaselineRun:
    return BaselineRun(figures.encoder, figures.catalogue, {one.image: one for one in figures.queries})


def marks(seed: int, share: float, queries: int = 120) -> list[str]:
    chance = np.random.default_rng(seed)
    return ["".join("01"[int(one)] for one in chance.random(DEPTH) < share) for _ in range(queries)]


def test_a_planted_regression_is_found() -> None:
    before = marks(0, 0.5)
    after = ["0" + row[1:] if n % 8 == 0 else row for n, row in enumerate(before)]
    assert set(compare(run(after), earlier(run(before))).regressions) == {"recall@1", "precision@1", "mAP@10"}
    assert compare(run(before), earlier(run(after))).regressions == []


def test_the_same_run_and_noise_are_no_regression() -> None:
    before = marks(0, 0.5)
    same = compare(run(before), earlier(run(before)))
    assert same.regressions == []
    assert all(one.value == one.low == one.high == 0 for one in same.differences.values())
    flipped = [("1" if row[0] == "0" else "0") + row[1:] if n in (3, 50) else row for n, row in enumerate(before)]
    assert compare(run(flipped), earlier(run(before))).regressions == []


def test_only_queries_that_both_have_are_compared() -> None:
    before = marks(0, 0.5)
    assert compare(run(before[:40]), earlier(run(before))).queries == 40


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    figures = run(marks(0, 0.5))
    (tmp_path / "a.json").write_text(as_json(figures))
    assert read_baseline(tmp_path / "a.json") == earlier(figures)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (run(["1" * DEPTH], catalogue="another"), "another catalogue"),
        (run([]), "had none of these queries"),
        (run(["1" * DEPTH], label="ring"), "0.png has another label"),
    ],
)
def test_runs_that_do_not_compare_are_refused(other: EvaluationResult, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        compare(run(["1" * DEPTH]), earlier(other))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "other/1"}, "other/1"),
        ({"queries": [{"image": "a.png", "label": "a", "relevant": 1, "right": "012"}]}, "zeros and ones"),
        ({"queries": [{"picture": "a.png"}]}, "`image` is missing"),
        ({"queries": None}, "no result"),
    ],
)
def test_files_that_are_no_result_are_refused(tmp_path: Path, change: dict[str, object], message: str) -> None:
    file = tmp_path / "other.json"
    file.write_text(json.dumps(json.loads(as_json(run(["1" * DEPTH]))) | change))
    with pytest.raises(BadInput, match=message):
        read_baseline(file)


def test_files_that_are_not_there_or_no_json_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot be read"):
        read_baseline(tmp_path / "nowhere.json")
    (tmp_path / "text.json").write_text("[1, 2")
    with pytest.raises(BadInput, match="no result of"):
        read_baseline(tmp_path / "text.json")
