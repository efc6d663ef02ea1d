"""Rankings: the official measures by hand, and pages of searches up to 1,000 hits."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.quality.evaluation.ground_truth import GroundTruth
from consumers.quality.evaluation.labelled_dataset import LabelledImage
from consumers.quality.evaluation.ranking_metrics import DEPTH, Relevance, per_query
from consumers.quality.evaluation.rankings import Measure, rank
from consumers.quality.evaluation.system_under_test import catalogue_id, index_rows
from tests.consumers.quality.evaluation.made_datasets import draw_noise, draw_thing, save
from tests.consumers.quality.evaluation.pixel_system import PixelSystem, untracked


def test_measures_by_hand() -> None:
    right = np.array([0.0, 1, 0, 1])
    assert [Measure("recall", k).of(right, 3) for k in (1, 2, 20)] == [0, 1, 1]
    assert Measure("mAP", 1_000).of(right, 3) == pytest.approx((1 / 2 + 2 / 4) / 3)
    assert Measure("mAP", 2).of(right, 3) == pytest.approx(1 / 2 / 2)
    assert Measure("mAP", 2).of(np.zeros(4), 0) == 0
    assert Measure("mAP", 1_000).name == "mAP@1000"


@given(st.lists(st.booleans(), min_size=DEPTH, max_size=DEPTH), st.integers(0, 20))
def test_at_10_hits_the_official_measures_are_those_of_the_tables(marks: list[bool], more: int) -> None:
    relevant = sum(marks) + more
    values = per_query(Relevance(np.array([marks]), np.array([relevant])))
    for measure in (Measure("recall", 1), Measure("recall", 10), Measure("mAP", 10)):
        assert measure.of(np.array(marks, np.float64), relevant) == pytest.approx(values[measure.name][0])


@pytest.fixture
def shop(tmp_path: Path) -> tuple[GroundTruth, PixelSystem]:
    """A red disc among 149 others of which 30 are the same, all indexed; the query is one of them."""
    rows = []
    for n in range(150):
        image = draw_thing(0, n // 5 % 7) if n % 5 == 0 else draw_noise(n)
        path = save(image, tmp_path / f"{n}.jpg")
        rows.append(LabelledImage(f"{n}.jpg", path, "disc" if n % 5 == 0 else ""))
    system = PixelSystem()
    index_rows(system, [(catalogue_id(n), row) for n, row in enumerate(rows)], untracked, len(rows))
    return GroundTruth(tuple(rows), (rows[0],)), system


def test_a_ranking_goes_deeper_than_one_page(shop: tuple[GroundTruth, PixelSystem]) -> None:
    truth, system = shop
    found = rank(truth, system, 120, untracked)
    assert found.positions.shape == (1, 120)
    assert len(set(found.positions[0].tolist())) == 120
    assert np.all(np.diff(found.scores[0]) <= 0)
    assert system.searches == 2
    assert 0 not in found.positions


def test_a_ranking_ends_where_the_hits_end(shop: tuple[GroundTruth, PixelSystem]) -> None:
    truth, system = shop
    found = rank(truth, system, 1_000, untracked)
    assert np.count_nonzero(found.positions[0] >= 0) == 149
    assert found.positions[0, 149:].tolist() == [-1] * 851
    assert system.searches == 2
    assert found.values(truth, Measure("mAP", 1_000))[0] > 0.9
    assert found.values(truth, Measure("recall", 1)).tolist() == [1]


def test_a_query_to_which_nothing_is_relevant_is_a_miss(shop: tuple[GroundTruth, PixelSystem]) -> None:
    truth, system = shop
    found = rank(truth, system, 10, untracked)
    nothing = GroundTruth(truth.catalogue, (LabelledImage("q", truth.queries[0].path, "hat"),))
    assert found.values(nothing, Measure("mAP", 1_000)).tolist() == [0]
