"""Coverage: kinds are truly taken out of the catalogue, and the scores of flags are as by hand."""

from pathlib import Path

import numpy as np
import pytest

from consumers.quality.evaluation.coverage_check import FOLDS, check_coverage, score_coverage
from consumers.quality.evaluation.ground_truth import SIMILAR, WEIGHTINGS, GroundTruth
from consumers.quality.evaluation.labelled_dataset import LabelColumns, LabelledImage, parse_source, read_rows
from consumers.quality.evaluation.system_under_test import catalogue_id, index_rows, search_all
from infra.array_types import Doubles
from schemas.results import LOW_COVERAGE, SearchResult
from tests.consumers.quality.evaluation.conftest import KINDS
from tests.consumers.quality.evaluation.pixel_system import PixelSystem, untracked


def rows_of(labels: Path, side: str) -> tuple[LabelledImage, ...]:
    return tuple(read_rows(parse_source(f"{labels}:side={side}"), LabelColumns()))


def search(truth: GroundTruth, system: PixelSystem) -> list[SearchResult]:
    rows = [(catalogue_id(n), row) for n, row in enumerate(truth.catalogue)]
    index_rows(system, rows, untracked, len(rows))
    return search_all(system, truth.questions(WEIGHTINGS[SIMILAR]), untracked, "")


def test_each_query_is_searched_once_without_its_kind(labels: Path) -> None:
    truth, system = GroundTruth(rows_of(labels, "catalogue"), rows_of(labels, "queries")), PixelSystem()
    found = check_coverage(truth, search(truth, system), system, 100, untracked)
    assert found is not None
    assert (found.queries, found.unknown) == (9, 0)
    assert len(system.others) == FOLDS == len(KINDS)
    assert sorted(other.searches for other in system.others) == [3, 3, 3]
    for other in system.others:
        [missing] = set(KINDS) - {item.category for item in other.items.values()}
        assert len(other.items) == 18
        assert missing in KINDS
    assert found.scores is not None
    assert found.scores.auc.value > 0.9
    assert found.scores.calibration.count == 18


def test_a_sample_of_the_queries_is_checked(labels: Path) -> None:
    truth, system = GroundTruth(rows_of(labels, "catalogue"), rows_of(labels, "queries")), PixelSystem()
    found = check_coverage(truth, search(truth, system), system, 4, untracked)
    assert found is not None
    assert found.queries == 4


def test_a_system_that_cannot_tell_has_no_scores(labels: Path) -> None:
    truth = GroundTruth(rows_of(labels, "catalogue"), rows_of(labels, "queries"))
    system = PixelSystem(has_coverage=False)
    found = check_coverage(truth, search(truth, system), system, 100, untracked)
    assert found is not None
    assert (found.queries, found.unknown, found.scores) == (9, 9, None)


def test_queries_of_the_catalogue_and_a_catalogue_of_one_kind_are_not_checked(labels: Path) -> None:
    rows, system = rows_of(labels, "catalogue"), PixelSystem()
    itself = GroundTruth(rows, rows)
    assert check_coverage(itself, search(itself, system), system, 100, untracked) is None
    discs = GroundTruth(tuple(row for row in rows if row.category == "disc"), rows_of(labels, "queries"))
    assert check_coverage(discs, search(discs, PixelSystem()), PixelSystem(), 100, untracked) is None


def test_scores_by_hand() -> None:
    present = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.9, 0.8, 0.7, 0.6, 0.2])
    absent = np.array([0.1, 0.2, 0.3, 0.55, 0.6, 0.1, 0.3, 0.3, 0.45, 0.95])
    found = score_coverage(present, absent, 0)
    assert found.flagged_absent.value == np.mean(absent < LOW_COVERAGE) == 0.6
    assert found.flagged_present.value == pytest.approx(0.1)
    pairs = np.sign(present[:, None] - absent)
    assert found.auc.value == pytest.approx(np.mean((pairs + 1) / 2))
    # A tenth of the present ones is below .5, but not what is below .6.
    assert found.recall_at_tenth.value == pytest.approx(np.mean(absent < 0.5))
    for estimate in (found.flagged_absent, found.flagged_present, found.auc, found.recall_at_tenth):
        assert estimate.low <= estimate.value <= estimate.high


def test_perfect_coverage_and_one_that_says_nothing() -> None:
    perfect = score_coverage(np.ones(30), np.zeros(30), 0)
    assert (perfect.auc.low, perfect.recall_at_tenth.low, perfect.calibration.ece.value) == (1, 1, 0)
    same: Doubles = np.linspace(0, 1, 50)
    blind = score_coverage(same, same, 0)
    assert blind.auc.value == pytest.approx(0.5)
    assert blind.recall_at_tenth.value == pytest.approx(0.1, abs=0.03)
