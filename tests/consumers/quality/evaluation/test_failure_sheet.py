"""The sheet of failures: what it says of each, which come first, and that it is drawn."""

from pathlib import Path

import pytest

from consumers.quality.evaluation.failure_sheet import MAX_FAILURES, draw_failures, worst_failures
from consumers.quality.evaluation.ground_truth import GroundTruth
from consumers.quality.evaluation.labelled_dataset import LabelColumns, LabelledImage, parse_source, read_rows
from consumers.quality.evaluation.system_under_test import catalogue_id
from schemas.results import Hit, SearchResult


@pytest.fixture
def truth(labels: Path) -> GroundTruth:
    rows = [read_rows(parse_source(f"{labels}:side={side}"), LabelColumns()) for side in ("catalogue", "queries")]
    return GroundTruth(tuple(rows[0]), tuple(rows[1]))


def hit(truth: GroundTruth, label: str, score: float) -> Hit:
    position = next(n for n, row in enumerate(truth.catalogue) if row.label == label)
    return Hit(
        item_id=catalogue_id(position), tenant="t", score=score, confidence=0.8, same_item=0.4, image=0,
        source="catalog", revision=1,
    )  # fmt: skip


def answers(truth: GroundTruth) -> list[SearchResult]:
    """The first query finds its label second, the second never; the others find theirs first."""
    first, _, *others = truth.queries
    hits = [
        (hit(truth, "blue ring", 0.9), hit(truth, first.label, 0.7)),
        (hit(truth, "blue bar", 0.6),),
        *((hit(truth, row.label, 0.9),) for row in others),
    ]
    return [
        SearchResult(request_id="r", status="ok", hits=found, coverage=None if n else 0.25)
        for n, found in enumerate(hits)
    ]


def test_each_failure_states_what_the_answer_stated(truth: GroundTruth) -> None:
    results = answers(truth)
    never, second = worst_failures(truth, results, truth.relevance_of(truth.queries, results))
    assert second.captions == (
        ("red disc (disc)", "coverage 25%"),
        ("blue ring (ring)", "score 0.90", "confidence 80%, same item 40%"),
        ("red disc (disc)", "hit 2", "confidence 80%, same item 40%"),
    )
    assert never.captions == (
        ("green disc (disc)", "coverage unknown"),
        ("blue bar (bar)", "score 0.60", "confidence 80%, same item 40%"),
        ("green disc (disc)", "not among the hits"),
    )


def test_at_most_twenty_failures_are_drawn(truth: GroundTruth) -> None:
    query = truth.queries[0]
    many = GroundTruth(truth.catalogue, tuple(LabelledImage(f"{n}", query.path, query.label) for n in range(30)))
    results = [answers(truth)[0]] * 30
    failures = worst_failures(many, results, many.relevance_of(many.queries, results))
    assert len(failures) == MAX_FAILURES == 20
    sheet = draw_failures(failures)
    assert sheet.height > sheet.width


def test_without_failures_the_sheet_says_so() -> None:
    assert draw_failures([]).mode == "RGB"
