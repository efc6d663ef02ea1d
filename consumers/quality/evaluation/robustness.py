"""What is lost when pictures are corrupted: the same queries, clean and spoiled, side by side."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from consumers.quality.evaluation.bootstrap import Estimate, differences, estimates
from consumers.quality.evaluation.corruptions import CORRUPTIONS, corrupted
from consumers.quality.evaluation.ground_truth import SIMILAR, WEIGHTINGS, GroundTruth
from consumers.quality.evaluation.labelled_dataset import LabelledImage, sample
from consumers.quality.evaluation.ranking_metrics import MAIN, Floats, Relevance, per_query
from consumers.quality.evaluation.system_under_test import SearchQuestion, SystemUnderTest, TrackProgress, ask_all

MEASURES = (*MAIN, "precision@10")


@dataclass(frozen=True)
class Robustness:
    """Each measure on clean queries, and how much of it each corruption takes (clean less corrupted)."""

    queries: int
    clean: Mapping[str, Estimate]
    drops: Mapping[str, Mapping[str, Estimate]]


def robustness(
    trial: GroundTruth, system: SystemUnderTest, judged: Relevance, limit: int, track: TrackProgress
) -> Robustness:
    """The drops on a sample of the queries, of which `judged` says how they did clean."""
    places = sample(range(len(trial.queries)), limit, trial.seed)
    rows, clean = [trial.queries[n] for n in places], _measures(judged.only(places))
    drops = {
        name: differences(clean, _measures(_judged(trial, system, rows, name, track)), trial.seed)
        for name in CORRUPTIONS
    }
    return Robustness(len(rows), estimates(clean, trial.seed), drops)


def _judged(
    trial: GroundTruth,
    system: SystemUnderTest,
    rows: Sequence[LabelledImage],
    corruption: str,
    track: TrackProgress,
) -> Relevance:
    questions = [
        SearchQuestion(partial(_spoiled, row, corruption), WEIGHTINGS[SIMILAR], trial.filters(row)) for row in rows
    ]
    return trial.judge(rows, ask_all(system, questions, track, f"corrupted: {corruption}"))


def _spoiled(row: LabelledImage, corruption: str) -> bytes:
    return corrupted(row.path.read_bytes(), corruption)


def _measures(judged: Relevance) -> dict[str, Floats]:
    return {name: values for name, values in per_query(judged).items() if name in MEASURES}
