"""Retrieval scores: the ranking metrics by weighting, by group of queries, and with filters."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from consumers.quality.evaluation.bootstrap import Estimate, differences, estimate, estimates
from consumers.quality.evaluation.colours import NameColours
from consumers.quality.evaluation.ground_truth import OBJECT, SIMILAR, WEIGHTINGS, GroundTruth, LabelFunction
from consumers.quality.evaluation.labelled_dataset import LabelledImage
from consumers.quality.evaluation.ranking_metrics import Relevance, per_query
from consumers.quality.evaluation.system_under_test import (
    SearchQuestion,
    SystemUnderTest,
    TrackProgress,
    search_all,
    search_each,
)
from schemas.results import SearchResult

FILTERED = ("recall@1", "recall@5", "precision@1", "precision@10")
"""Measures that are valid with filters: the others count relevant pictures that the filter may have excluded."""

COLOUR_WEIGHTINGS = (OBJECT, SIMILAR, "colour")
"""The weightings whose hits' colours are compared."""

Results = Sequence[SearchResult]


@dataclass(frozen=True)
class Score:
    """The mean of each measure over some queries."""

    queries: int
    metrics: Mapping[str, Estimate]


@dataclass(frozen=True)
class FilteredScore:
    """The measures with a filter, and how many of the hits satisfy it: if not all, the filter is broken."""

    queries: int
    metrics: Mapping[str, Estimate]
    hits: int
    satisfying: int


@dataclass(frozen=True)
class Agreement:
    """Share of the top 10 that has the query's value, by weighting, and its gain over the object part alone."""

    queries: int
    share: Mapping[str, Estimate]
    gain: Mapping[str, Estimate]


def score(relevance: Relevance, seed: int) -> Score:
    """The mean of every measure, with its interval."""
    return Score(len(relevance.relevant), estimates(per_query(relevance), seed))


def search_by_weighting(
    truth: GroundTruth, system: SystemUnderTest, track: TrackProgress
) -> tuple[dict[str, Results], dict[str, Relevance]]:
    """The results of every query, by weighting, and their relevance. Of weightings of which only the relevance is
    needed there are no results, since those of 60,000 queries take 1 GB."""
    needed = COLOUR_WEIGHTINGS if any(row.colour for row in truth.queries) else (SIMILAR,)
    results: dict[str, Results] = {}
    relevance = {}
    for name, weights in WEIGHTINGS.items():
        found = search_each(system, truth.questions(weights), track, f"searching: {name}")
        if name in needed:
            results[name] = list(found)
        relevance[name] = truth.relevance_of(truth.queries, results.get(name, found))
    return results, relevance


def by_group(truth: GroundTruth, relevance: Relevance, value: LabelFunction) -> dict[str, Score]:
    """The score of the queries with each value, by value; empty when no query has one."""
    groups: dict[str, list[int]] = defaultdict(list)
    for n, row in enumerate(truth.queries):
        if value(row):
            groups[value(row)].append(n)
    return {name: score(relevance.subset(groups[name]), truth.seed) for name in sorted(groups)}


def agreement(truth: GroundTruth, results: Mapping[str, Results], value: LabelFunction) -> Agreement | None:
    """How often hits have the query's value, by weighting; None when no query has a value."""
    rows = [n for n, row in enumerate(truth.queries) if value(row)]
    if not rows:
        return None
    relevance = {
        name: truth.relevance_of(truth.queries, answers, value).subset(rows) for name, answers in results.items()
    }
    shares = {name: judged.right.mean(axis=1) for name, judged in relevance.items()}
    baseline = {name: shares[OBJECT] for name in shares}
    return Agreement(len(rows), estimates(shares, truth.seed), differences(shares, baseline, truth.seed))


def filtered(
    truth: GroundTruth, system: SystemUnderTest, name_colours: NameColours, track: TrackProgress
) -> dict[str, FilteredScore]:
    """Scores of searches filtered by the query's category, and by its category and first colour name."""
    rows = [row for row in truth.queries if row.category]
    if not rows:
        return {}
    colours = [name_colours(row.read()) for row in track(rows, "naming colours", len(rows))]
    by_category: list[dict[str, object]] = [{"category": (row.category,)} for row in rows]
    by_both = [filters | {"colours": names[:1]} for filters, names in zip(by_category, colours, strict=True)]
    filter_sets = {"category": by_category, "category and colour": by_both}
    return {
        name: _score_filtered(truth, system, list(zip(rows, filters, strict=True)), track)
        for name, filters in filter_sets.items()
    }


def _score_filtered(
    truth: GroundTruth,
    system: SystemUnderTest,
    queries: Sequence[tuple[LabelledImage, Mapping[str, object]]],
    track: TrackProgress,
) -> FilteredScore:
    weights = WEIGHTINGS[SIMILAR]
    questions = [SearchQuestion(row.read, weights, truth.filters(row, **filters)) for row, filters in queries]
    results = search_all(system, questions, track, "searching with filters")
    measures = score(truth.relevance_of([row for row, _ in queries], results), truth.seed)
    pairs = [(question, hit) for question, result in zip(questions, results, strict=True) for hit in result.hits]
    satisfying = sum(
        hit.category in question.filters.category and set(question.filters.colours) <= set(hit.colours)
        for question, hit in pairs
    )
    metrics = {name: measures.metrics[name] for name in FILTERED}
    return FilteredScore(len(queries), metrics, len(pairs), satisfying)


def share(values: Sequence[bool], seed: int) -> Estimate:
    """The share of the values that is true, with its interval."""
    return estimate(np.array(values, np.float64), seed)
