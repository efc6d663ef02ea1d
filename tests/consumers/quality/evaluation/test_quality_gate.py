"""The gate on calibration errors: what exceeds its limit fails, what may do so by chance does not, and says so."""

import json
from pathlib import Path

import numpy as np
import pytest

from consumers.quality.evaluation.bootstrap import Estimate
from consumers.quality.evaluation.calibration_check import CATEGORY, ITEM, LABEL, CalibrationCheck
from consumers.quality.evaluation.coverage_check import CoverageCheck, score_coverage
from consumers.quality.evaluation.quality_gate import COVERAGE, MAX_ECE, GateCheck, check_gate, example, read_limits
from consumers.quality.evaluation.reliability import Reliability
from consumers.quality.evaluation.results import EvaluationResult, QueryCounts
from infra.config.errors import BadInput

NO_ERROR = Estimate(0.0, 0.0, 0.0)


def check(low: float, value: float, *, is_claimed: bool = True) -> CalibrationCheck:
    first = Reliability(100, Estimate(value, low, value + 0.02), NO_ERROR, ())
    return CalibrationCheck(first, Reliability(100, NO_ERROR, NO_ERROR, ()), is_claimed)


def run(calibration: dict[str, CalibrationCheck], coverage: CoverageCheck | None = None) -> EvaluationResult:
    return EvaluationResult(
        through="direct", encoder="fake:1", catalogue="same", seed=0, counts=QueryCounts(9, 9, 0, ()),
        weightings={}, by_category={}, by_colour={}, filtered={}, calibration=calibration, strict=None,
        off_topic=None, categories=None, engine_recall=None, colours=None, colour_hits=None, same={},
        robustness=None, queries=(), coverage=coverage,
    )  # fmt: skip


def test_an_error_that_is_surely_above_its_limit_fails_and_names_all() -> None:
    [first, every] = check_gate(run({CATEGORY: check(0.061, 0.101)}), read_limits("default"))
    assert first.is_exceeded
    assert first.describe() == "ECE of category: 0.101 [0.061, 0.121] is above its limit 0.05"
    assert not every.is_exceeded
    assert every.describe() == "ECE of category, all hits: 0.000 [0.000, 0.000] is within its limit 0.05"


def test_an_error_that_may_be_above_its_limit_by_chance_passes_and_says_so() -> None:
    found = GateCheck(ITEM, Estimate(0.06, 0.04, 0.09), MAX_ECE)
    assert not found.is_exceeded
    assert found.describe() == (
        "ECE of item: 0.060 [0.040, 0.090] may be above its limit 0.05 by chance: its interval begins below it"
    )


def test_a_confidence_that_answers_do_not_state_has_no_limit() -> None:
    found = check_gate(
        run({LABEL: check(0.3, 0.4, is_claimed=False), CATEGORY: check(0, 0.01)}), read_limits("default")
    )
    assert [one.measure for one in found] == [CATEGORY, f"{CATEGORY}, all hits"]


def test_coverage_has_a_limit_where_it_is_known() -> None:
    scores = score_coverage(np.full(50, 0.2), np.full(50, 0.9), 0)
    [found] = check_gate(run({}, CoverageCheck(50, 0, scores)), read_limits("default"))
    assert (found.measure, found.is_exceeded) == (COVERAGE, True)
    with pytest.raises(BadInput, match="no calibration error"):
        check_gate(run({}, CoverageCheck(50, 50, None)), read_limits("default"))


def test_limits_are_read_and_others_stay(tmp_path: Path) -> None:
    file = tmp_path / "limits.json"
    file.write_text(example())
    assert read_limits(str(file)) == read_limits("default") | json.loads(example())
    assert set(read_limits("default").values()) == {MAX_ECE}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is no JSON"),
        ("[0.1]", "is no JSON object"),
        ('{"recall": 0.1}', "has a limit of `recall`: the measures are item, label"),
        ('{"item": "low"}', "the limit of `item` is 'low': write a number from 0 to 1"),
        ('{"item": true}', "write a number"),
        ('{"item": 2}', "write a number"),
    ],
)
def test_files_that_are_no_limits_are_refused(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "limits.json"
    file.write_text(text)
    with pytest.raises(BadInput, match=message):
        read_limits(str(file))


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="name a JSON file with limits, or `default`"):
        read_limits(str(tmp_path / "nowhere.json"))
