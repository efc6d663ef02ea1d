"""How good the answers are: by weighting, by group, and under filters."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from consumers.quality.evaluation.bootstrap import Estimate, differences, estimate, estimates
from consumers.quality.evaluation.colours import NameColours
from consumers.quality.evaluation.ground_truth import OBJECT, SIMILAR, WEIGHTINGS, GroundTruth, Value
from consumers.quality.evaluation.labelled_dataset import LabelledImage
from consumers.quality.evaluation.ranking_metrics import Relevance, per_query
from consumers.quality.evaluation.system_under_test import SearchQuestion, SystemUnderTest, TrackProgress, ask_all
from schemas.results import SearchResult

FILTERED = ("recall@1", "recall@5", "precision@1", "precision@10")
"""Measures that make sense under filters: the others count right pictures that a filter may have taken away."""

Results = Sequence[SearchResult]


@dataclass(frozen=True)
class Score:
    """Each measure over some queries."""

    queries: int
    metrics: Mapping[str, Estimate]


@dataclass(frozen=True)
class FilteredScore:
    """The measures under a filter, and how many of the hits satisfy it: all, or the filter is broken."""

    queries: int
    metrics: Mapping[str, Estimate]
    hits: int
    satisfying: int


@dataclass(frozen=True)
class Agreement:
    """Share of the top 10 with the query's value, for each weighting, and its gain over the object part alone."""

    queries: int
    share: Mapping[str, Estimate]
    gain: Mapping[str, Estimate]


def score(judged: Relevance, seed: int) -> Score:
    """Every measure with its interval."""
    return Score(len(judged.relevant), estimates(per_query(judged), seed))


def ask_by_weighting(trial: GroundTruth, system: SystemUnderTest, track: TrackProgress) -> dict[str, Results]:
    """The answers to every query under each weighting."""
    return {
        name: ask_all(system, trial.questions(weights), track, f"searching: {name}")
        for name, weights in WEIGHTINGS.items()
    }


def by_group(trial: GroundTruth, judged: Relevance, value: Value) -> dict[str, Score]:
    """The score of the queries of each value; empty when no query has one."""
    groups: dict[str, list[int]] = defaultdict(list)
    for n, row in enumerate(trial.queries):
        if value(row):
            groups[value(row)].append(n)
    return {name: score(judged.only(groups[name]), trial.seed) for name in sorted(groups)}


def agreement(trial: GroundTruth, results: Mapping[str, Results], value: Value) -> Agreement | None:
    """How far each weighting's top 10 agree with the query in another respect than its label."""
    rows = [n for n, row in enumerate(trial.queries) if value(row)]
    if not rows:
        return None
    judged = {name: trial.judge(trial.queries, found, value).only(rows) for name, found in results.items()}
    shares = {name: one.right.mean(axis=1) for name, one in judged.items()}
    base = {name: shares[OBJECT] for name in shares}
    return Agreement(len(rows), estimates(shares, trial.seed), differences(shares, base, trial.seed))


def filtered(
    trial: GroundTruth, system: SystemUnderTest, name_colours: NameColours, track: TrackProgress
) -> dict[str, FilteredScore]:
    """Searches within the query's category, and within its first named colour besides."""
    rows = [row for row in trial.queries if row.category]
    if not rows:
        return {}
    colours = [name_colours(row.path.read_bytes()) for row in track(rows, "naming colours", len(rows))]
    by_category: list[dict[str, object]] = [{"category": (row.category,)} for row in rows]
    by_both = [wanted | {"colours": names[:1]} for wanted, names in zip(by_category, colours, strict=True)]
    kinds = {"category": by_category, "category and colour": by_both}
    return {
        name: _filtered(trial, system, list(zip(rows, kind, strict=True)), track) for name, kind in kinds.items()
    }


def _filtered(
    trial: GroundTruth,
    system: SystemUnderTest,
    asked: Sequence[tuple[LabelledImage, Mapping[str, object]]],
    track: TrackProgress,
) -> FilteredScore:
    weights = WEIGHTINGS[SIMILAR]
    questions = [
        SearchQuestion(row.path.read_bytes, weights, trial.filters(row, **wanted)) for row, wanted in asked
    ]
    results = ask_all(system, questions, track, "searching with filters")
    measures = score(trial.judge([row for row, _ in asked], results), trial.seed)
    pairs = [(question, hit) for question, result in zip(questions, results, strict=True) for hit in result.hits]
    satisfying = sum(
        hit.category in question.filters.category and set(question.filters.colours) <= set(hit.colours)
        for question, hit in pairs
    )
    kept = {name: measures.metrics[name] for name in FILTERED}
    return FilteredScore(len(asked), kept, len(pairs), satisfying)


def share(values: Sequence[bool], seed: int) -> Estimate:
    """The share that is true."""
    return estimate(np.array(values, np.float64), seed)
