"""Robustness: measures the loss of quality when the pictures of the same queries are corrupted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from consumers.quality.evaluation.bootstrap import Estimate, differences, estimates
from consumers.quality.evaluation.corruptions import CORRUPTIONS, corrupt
from consumers.quality.evaluation.ground_truth import SIMILAR, WEIGHTINGS, GroundTruth
from consumers.quality.evaluation.labelled_dataset import LabelledImage, sample
from consumers.quality.evaluation.ranking_metrics import MAIN, Relevance, per_query
from consumers.quality.evaluation.system_under_test import (
    SearchQuestion,
    SystemUnderTest,
    TrackProgress,
    search_all,
)
from infra.array_types import Doubles

MEASURES = (*MAIN, "precision@10")


@dataclass(frozen=True)
class Robustness:
    """Each measure on clean queries, and its drop with each corruption (clean minus corrupted)."""

    queries: int
    clean: Mapping[str, Estimate]
    drops: Mapping[str, Mapping[str, Estimate]]


def robustness(
    truth: GroundTruth, system: SystemUnderTest, relevance: Relevance, limit: int, track: TrackProgress
) -> Robustness:
    """The drops on a sample of at most `limit` queries; `relevance` is that of the clean queries."""
    sampled = sample(range(len(truth.queries)), limit, truth.seed)
    rows, clean = [truth.queries[n] for n in sampled], _measures(relevance.subset(sampled))
    drops = {
        name: differences(clean, _measures(_search_corrupted(truth, system, rows, name, track)), truth.seed)
        for name in CORRUPTIONS
    }
    return Robustness(len(rows), estimates(clean, truth.seed), drops)


def _search_corrupted(
    truth: GroundTruth,
    system: SystemUnderTest,
    rows: Sequence[LabelledImage],
    corruption: str,
    track: TrackProgress,
) -> Relevance:
    questions = [
        SearchQuestion(partial(_read_corrupted, row, corruption), WEIGHTINGS[SIMILAR], truth.filters(row))
        for row in rows
    ]
    return truth.relevance_of(rows, search_all(system, questions, track, f"corrupted: {corruption}"))


def _read_corrupted(row: LabelledImage, corruption: str) -> bytes:
    return corrupt(row.read(), corruption)


def _measures(relevance: Relevance) -> dict[str, Doubles]:
    return {name: values for name, values in per_query(relevance).items() if name in MEASURES}
