"""What is lost when pictures are corrupted: the same queries, clean and spoiled, side by side."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from consumers.quality.evaluation.bootstrap import Estimate, differences, estimates
from consumers.quality.evaluation.corruptions import CORRUPTIONS, corrupted
from consumers.quality.evaluation.ground_truth import SIMILAR, WEIGHTINGS, Trial
from consumers.quality.evaluation.labelled_dataset import Row, sample
from consumers.quality.evaluation.ranking_metrics import MAIN, Floats, Judged, per_query
from consumers.quality.evaluation.system_under_test import Question, System, Track, ask_all

MEASURES = (*MAIN, "precision@10")


@dataclass(frozen=True)
class Robustness:
    """Each measure on clean queries, and how much of it each corruption takes (clean less corrupted)."""

    queries: int
    clean: Mapping[str, Estimate]
    drops: Mapping[str, Mapping[str, Estimate]]


def robustness(trial: Trial, system: System, judged: Judged, limit: int, track: Track) -> Robustness:
    """The drops on a sample of the queries, of which `judged` says how they did clean."""
    places = sample(range(len(trial.queries)), limit, trial.seed)
    rows, clean = [trial.queries[n] for n in places], _measures(judged.only(places))
    drops = {
        name: differences(clean, _measures(_judged(trial, system, rows, name, track)), trial.seed)
        for name in CORRUPTIONS
    }
    return Robustness(len(rows), estimates(clean, trial.seed), drops)


def _judged(trial: Trial, system: System, rows: Sequence[Row], corruption: str, track: Track) -> Judged:
    questions = [
        Question(partial(_spoiled, row, corruption), WEIGHTINGS[SIMILAR], trial.filters(row)) for row in rows
    ]
    return trial.judge(rows, ask_all(system, questions, track, f"corrupted: {corruption}"))


def _spoiled(row: Row, corruption: str) -> bytes:
    return corrupted(row.path.read_bytes(), corruption)


def _measures(judged: Judged) -> dict[str, Floats]:
    return {name: values for name, values in per_query(judged).items() if name in MEASURES}
