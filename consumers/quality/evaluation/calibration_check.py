"""Calibration check: the reliability of the confidences in answers, by what each is of: item, label or category."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from consumers.quality.evaluation.ground_truth import GroundTruth, category_of
from consumers.quality.evaluation.ranking_metrics import Relevance
from consumers.quality.evaluation.reliability import Claims, Reliability, reliability
from consumers.quality.evaluation.retrieval_scores import Results
from schemas.results import Hit

CATEGORY, LABEL, ITEM = "category", "label", "item"


@dataclass(frozen=True)
class CalibrationCheck:
    """The reliability of a confidence, of first hits and of all hits.

    `is_claimed` is whether answers state the confidence for this criterion. That of a category may be read as that
    of a finer label: then it is too high, and the check measures by how much.
    """

    first: Reliability
    all: Reliability | None
    is_claimed: bool = True


def check_calibration(truth: GroundTruth, results: Results) -> dict[str, CalibrationCheck]:
    """Check `confidence` and `same_item`, each by what can be checked; empty if the index is not calibrated.

    `category`: a hit is correct if it has the query's category; `label`: if it is relevant, where a set has labels
    that are not its categories. Without categories, `confidence` is that of the label. `item`: `same_item` is
    correct if the hit is relevant, where each query has one relevant picture, which is then its item.
    """
    calibrated = [n for n, result in enumerate(results) if result.threshold is not None and result.hits]
    if not calibrated:
        return {}
    relevance = truth.relevance_of(truth.queries, results)
    check = _Checker(results, calibrated, truth.seed)
    found = {}
    has_categories = any(row.category for row in truth.queries)
    if has_categories:
        by_category = truth.relevance_of(truth.queries, results, category_of)
        found[CATEGORY] = CalibrationCheck(check.first(by_category), check.all(by_category))
    if not has_categories or any(row.label not in ("", row.category) for row in truth.queries):
        found[LABEL] = CalibrationCheck(check.first(relevance), check.all(relevance), not has_categories)
    if (relevance.relevant == 1).all():
        found[ITEM] = CalibrationCheck(check.first(relevance, _same_item), None)
    return found


def _confidence(hit: Hit) -> float:
    return hit.confidence


def _same_item(hit: Hit) -> float:
    return hit.same_item or 0.0


@dataclass(frozen=True)
class _Checker:
    """Compares confidences of the results of calibrated queries with what is relevant."""

    results: Results
    calibrated: list[int]
    seed: int

    def first(self, relevance: Relevance, confidence: Callable[[Hit], float] = _confidence) -> Reliability:
        """The reliability of the first hits' confidence."""
        return self._compare([(n, 0) for n in self.calibrated], relevance, confidence)

    def all(self, relevance: Relevance) -> Reliability:
        """The reliability of all hits' confidence."""
        hits = [(n, rank) for n in self.calibrated for rank in range(len(self.results[n].hits))]
        return self._compare(hits, relevance, _confidence)

    def _compare(
        self, hits: list[tuple[int, int]], relevance: Relevance, confidence: Callable[[Hit], float]
    ) -> Reliability:
        queries, ranks = np.array(hits, np.int64).T
        stated = np.array([confidence(self.results[n].hits[rank]) for n, rank in hits])
        return reliability(Claims(stated, relevance.right[queries, ranks], queries), self.seed)
