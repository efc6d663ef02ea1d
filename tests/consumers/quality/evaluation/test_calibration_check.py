"""Confidences are checked by what each is of: the item, the label or the category."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from consumers.quality.evaluation.calibration_check import CATEGORY, ITEM, LABEL, check_calibration
from consumers.quality.evaluation.ground_truth import GroundTruth
from consumers.quality.evaluation.labelled_dataset import LabelledImage
from consumers.quality.evaluation.system_under_test import catalogue_id
from schemas.results import Hit, SearchResult

CATALOGUE = (("golden", "apple"), ("granny", "apple"), ("lemon", "citrus"), ("lime", "citrus"))
"""Label and category of each picture."""


def rows(role: str, names: Sequence[tuple[str, str]]) -> tuple[LabelledImage, ...]:
    return tuple(
        LabelledImage(f"{role}{n}", Path(f"/{role}{n}"), label, category)
        for n, (label, category) in enumerate(names)
    )


def answer(hits: Sequence[tuple[int, float, float]], threshold: float | None = 0.3) -> SearchResult:
    """An answer with hits: catalogue position, confidence and same_item of each."""
    found = tuple(
        Hit(
            item_id=catalogue_id(position), tenant="t", score=0.9 - rank / 10, confidence=confidence,
            same_item=same, image=0, source="catalog", revision=1,
        )
        for rank, (position, confidence, same) in enumerate(hits)
    )  # fmt: skip
    return SearchResult(request_id="r", status="ok", hits=found, threshold=threshold)


def test_item_label_and_category_are_told_apart() -> None:
    truth = GroundTruth(rows("c", CATALOGUE), rows("q", [("granny", "apple"), ("lemon", "citrus")]))
    results = [answer([(0, 0.9, 0.55), (1, 0.9, 0.35)]), answer([(2, 0.8, 0.75), (0, 0.1, 0.25)])]
    found = check_calibration(truth, results)
    assert set(found) == {CATEGORY, LABEL, ITEM}
    category, label, item = found[CATEGORY], found[LABEL], found[ITEM]
    assert (category.is_claimed, label.is_claimed, item.is_claimed) == (True, False, True)
    assert category.first.ece.value == pytest.approx((0.1 + 0.2) / 2)
    assert label.first.ece.value == pytest.approx((0.9 + 0.2) / 2)
    assert item.first.ece.value == pytest.approx((0.55 + 0.25) / 2)
    assert category.all is not None
    assert (category.all.count, category.first.count) == (4, 2)
    assert item.all is None


def test_labels_that_are_the_categories_are_checked_once() -> None:
    truth = GroundTruth(rows("c", [("a", "a"), ("a", "a")]), rows("q", [("a", "a")]))
    assert set(check_calibration(truth, [answer([(0, 0.9, 0.5)])])) == {CATEGORY}


def test_without_categories_the_confidence_is_that_of_the_label() -> None:
    truth = GroundTruth(rows("c", [("a", ""), ("a", ""), ("b", "")]), rows("q", [("a", "")]))
    found = check_calibration(truth, [answer([(0, 0.9, 0.5)])])
    assert set(found) == {LABEL}
    assert found[LABEL].is_claimed


def test_answers_without_a_threshold_or_without_hits_are_not_checked() -> None:
    truth = GroundTruth(rows("c", CATALOGUE), rows("q", [("granny", "apple"), ("lemon", "citrus")]))
    assert check_calibration(truth, [answer([(0, 0.9, 0.5)], None), answer([])]) == {}
    found = check_calibration(truth, [answer([(1, 0.9, 0.5)]), answer([])])
    assert found[CATEGORY].first.count == 1
