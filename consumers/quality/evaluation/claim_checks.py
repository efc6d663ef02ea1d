"""Claim checks: how often `no_match` of strict searches, and predicted categories, are right."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from consumers.quality.evaluation.bootstrap import Estimate
from consumers.quality.evaluation.ground_truth import SIMILAR, WEIGHTINGS, GroundTruth
from consumers.quality.evaluation.labelled_dataset import LabelledImage
from consumers.quality.evaluation.retrieval_scores import Results, share
from consumers.quality.evaluation.system_under_test import (
    SearchQuestion,
    SystemUnderTest,
    TrackProgress,
    index_rows,
    search_all,
)
from infra.config.errors import BadInput
from schemas.outcomes import ItemIndexed, ItemOutcome
from schemas.results import SearchResult


@dataclass(frozen=True)
class StrictCheck:
    """How many strict searches return hits, and how many of these hits are correct.

    `answer_rate` is the share of queries with hits, `precision` the share of all hits that is correct, and `first`
    the share of first hits that is correct. The last two are None when no query has hits.
    """

    queries: int
    answer_rate: Estimate
    first: Estimate | None
    precision: Estimate | None


@dataclass(frozen=True)
class OffTopicCheck:
    """Searches by pictures of things that the catalogue does not have: the share with the status `no_match`."""

    queries: int
    unreadable: int
    rejection_rate: Estimate


@dataclass(frozen=True)
class CategoryCheck:
    """Predicted categories.

    `prediction_rate` is the share of items without a category for which one is predicted, `accuracy` the share of
    these predictions that is correct, and `search_accuracy` the share of searches whose likeliest category is
    correct. The last two are None when nothing was predicted.
    """

    items: int
    prediction_rate: Estimate
    accuracy: Estimate | None
    search_accuracy: Estimate | None


def strict(truth: GroundTruth, system: SystemUnderTest, track: TrackProgress) -> StrictCheck:
    """Check strict searches by the queries; these drop hits that score like unrelated pictures."""
    results = _search_strictly(truth, truth.queries, system, track, "searching strictly")
    relevance = truth.relevance_of(truth.queries, results)
    answered = [n for n, result in enumerate(results) if result.hits]
    first = [bool(relevance.right[n, 0]) for n in answered]
    every = [bool(relevance.right[n, k]) for n in answered for k in range(len(results[n].hits))]
    return StrictCheck(
        len(results), share([bool(result.hits) for result in results], truth.seed),
        share(first, truth.seed) if answered else None, share(every, truth.seed) if answered else None,
    )  # fmt: skip


def off_topic(
    truth: GroundTruth, off_topic_images: Sequence[LabelledImage], system: SystemUnderTest, track: TrackProgress
) -> OffTopicCheck:
    """Check strict searches by off-topic pictures; unreadable pictures are counted separately."""
    results = _search_strictly(truth, off_topic_images, system, track, "searching off topic")
    readable = [result.status == "no_match" for result in results if result.status != "rejected"]
    if not readable:
        raise BadInput(f"--off-topic: none of its {len(results)} pictures can be read: {results[0].message}")
    return OffTopicCheck(len(readable), len(results) - len(readable), share(readable, truth.seed))


def _search_strictly(
    truth: GroundTruth,
    rows: Sequence[LabelledImage],
    system: SystemUnderTest,
    track: TrackProgress,
    description: str,
) -> list[SearchResult]:
    weights = WEIGHTINGS[SIMILAR]
    questions = [SearchQuestion(row.read, weights, truth.filters(row), strict=True) for row in rows]
    return search_all(system, questions, track, description)


def categories(
    truth: GroundTruth, results: Results, system: SystemUnderTest, track: TrackProgress
) -> CategoryCheck | None:
    """Check predicted categories; None when no item, or no query outside the catalogue, has a category.

    This indexes the queries as items without a category, so it must be the last step of an evaluation.
    """
    if not any(row.category for row in truth.catalogue):
        return None
    pairs = [(row, result) for row, result in zip(truth.queries, results, strict=True) if row.category]
    # A query that is in the catalogue would vote for its own category.
    outside = [(row, result) for row, result in pairs if truth.position_of(row) is None]
    if not outside:
        return None
    rows = [row for row, _ in outside]
    outcomes = index_rows(system, _without_category(rows), track, len(rows))
    names = [_predicted_category(outcomes.get(_query_id(n))) for n in range(len(rows))]
    correct = [name == row.category for name, row in zip(names, rows, strict=True) if name]
    first = [result.categories[0].name == row.category for row, result in outside if result.categories]
    return CategoryCheck(
        len(rows), share([name is not None for name in names], truth.seed),
        share(correct, truth.seed) if correct else None, share(first, truth.seed) if first else None,
    )  # fmt: skip


def _predicted_category(outcome: ItemOutcome | None) -> str | None:
    prediction = outcome.category_predicted if isinstance(outcome, ItemIndexed) else None
    return prediction.name if prediction else None


def _without_category(rows: Sequence[LabelledImage]) -> list[tuple[str, LabelledImage]]:
    """The rows without their categories, with the item ids of queries."""
    return [(_query_id(n), replace(row, category="", colour="", values={})) for n, row in enumerate(rows)]


def _query_id(position: int) -> str:
    return f"q{position}"
