"""The whole trial, in order: put the catalogue in, ask everything, and add up."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from consumers.quality.evaluation.bootstrap import Estimate
from consumers.quality.evaluation.claim_checks import CalibrationCheck, calibration, categories, off_topic, strict
from consumers.quality.evaluation.colours import ColourNamers, colour_agreement, our_colour_of
from consumers.quality.evaluation.embedding_store import EmbeddingStore
from consumers.quality.evaluation.exact_search import engine_recall, open_exact, same_elsewhere
from consumers.quality.evaluation.ground_truth import (
    OBJECT,
    SIMILAR,
    WEIGHTINGS,
    GroundTruth,
    Value,
    category_of,
    colour_of,
    fair_ground_truth,
    label_of,
)
from consumers.quality.evaluation.labelled_dataset import LabelledImage, digest
from consumers.quality.evaluation.ranking_metrics import Relevance
from consumers.quality.evaluation.results import EvaluationResult, QueryCounts, QueryResult
from consumers.quality.evaluation.retrieval_scores import (
    Agreement,
    Results,
    agreement,
    ask_by_weighting,
    by_group,
    filtered,
    score,
)
from consumers.quality.evaluation.robustness import robustness
from consumers.quality.evaluation.system_under_test import (
    SystemUnderTest,
    TrackProgress,
    catalogue_id,
    put_rows,
    settle,
)
from schemas.outcomes import ItemIndexed

COLOUR_WEIGHTINGS = (OBJECT, SIMILAR, "colour")


@dataclass(frozen=True)
class EvaluationInput:
    """What is to be tried."""

    catalogue: Sequence[LabelledImage]
    queries: Sequence[LabelledImage]
    strangers: Sequence[LabelledImage] = ()
    """Off-topic pictures."""
    same: tuple[str, ...] = ()
    """Columns whose agreement among items of other labels is measured."""
    robustness: int = 100
    """Queries that are corrupted; 0: none."""
    seed: int = 0


@dataclass(frozen=True)
class EvaluationSetup:
    """What it is tried on. `looks` is None where vectors cannot be had, as through Kafka."""

    system: SystemUnderTest
    through: str
    namers: ColourNamers
    track: TrackProgress
    looks: EmbeddingStore | None


@dataclass(frozen=True)
class ExactFigures:
    """What is known from the vectors themselves."""

    engine_recall: Estimate | None
    same: Mapping[str, Agreement]


@dataclass(frozen=True)
class EvaluationOutput:
    """The figures, and what a sheet of failures needs besides."""

    figures: EvaluationResult
    trial: GroundTruth
    results: Results
    judged: Relevance


def evaluate(given: EvaluationInput, bench: EvaluationSetup) -> EvaluationOutput:
    """All that can be measured; raises BadInput when there is nothing to judge, Unavailable as systems do."""
    system, track, seed = bench.system, bench.track, given.seed
    trial, unusable = _ready(given, bench)
    results = ask_by_weighting(trial, system, track)
    judged = {name: trial.judge(trial.queries, found) for name, found in results.items()}
    plain, plainly = judged[SIMILAR], results[SIMILAR]
    exactly = _exactly(trial, given, plainly, bench.looks)
    figures = EvaluationResult(
        through=bench.through,
        encoder=next((result.encoder for result in plainly if result.encoder), ""),
        catalogue=digest(given.catalogue),
        seed=seed,
        counts=_counts(given, trial, unusable),
        weightings={name: score(one, seed) for name, one in judged.items()},
        by_category=by_group(trial, plain, category_of),
        by_colour=by_group(trial, plain, colour_of),
        filtered=filtered(trial, system, bench.namers.ours, track),
        calibration=_calibration(trial, plainly),
        strict=strict(trial, system, track),
        off_topic=off_topic(trial, given.strangers, system, track) if given.strangers else None,
        engine_recall=exactly.engine_recall,
        colours=colour_agreement([*trial.catalogue, *trial.queries], bench.namers, seed, track),
        colour_hits=agreement(trial, {name: results[name] for name in COLOUR_WEIGHTINGS}, our_colour_of),
        same=exactly.same,
        robustness=robustness(trial, system, plain, given.robustness, track) if given.robustness else None,
        # Last, for it puts the queries in.
        categories=categories(trial, plainly, system, track),
        queries=_asked(trial, plain),
    )
    return EvaluationOutput(figures, trial, plainly, plain)


def _ready(given: EvaluationInput, bench: EvaluationSetup) -> tuple[GroundTruth, tuple[str, ...]]:
    """The catalogue put in, the system ready, and the trial; with the pictures that cannot be used."""
    rows = [(catalogue_id(place), row) for place, row in enumerate(given.catalogue)]
    outcomes = put_rows(bench.system, rows, bench.track, len(rows))
    in_place = [isinstance(outcomes.get(id), ItemIndexed) for id, _ in rows]
    named = [bench.namers.ours(row.path.read_bytes()) for row in given.queries]
    # A picture that was refused keeps its place, but nothing can be right about it.
    held = [
        row if there else LabelledImage(row.image, row.path)
        for row, there in zip(given.catalogue, in_place, strict=True)
    ]
    asked = [row for row, names in zip(given.queries, named, strict=True) if names]
    trial = fair_ground_truth(held, asked, given.seed)
    settle(bench.system, trial.questions(WEIGHTINGS[SIMILAR], trial.queries[:1])[0])
    unusable = [row.image for row, there in zip(given.catalogue, in_place, strict=True) if not there]
    unusable += [row.image for row, names in zip(given.queries, named, strict=True) if not names]
    return trial, tuple(unusable)


def _counts(given: EvaluationInput, trial: GroundTruth, unusable: tuple[str, ...]) -> QueryCounts:
    indexed = sum(row.label != "" for row in trial.catalogue)
    lost = len(given.catalogue) - indexed
    unanswerable = len(given.queries) - len(trial.queries) - (len(unusable) - lost)
    return QueryCounts(indexed, len(trial.queries), unanswerable, unusable)


def _calibration(trial: GroundTruth, results: Results) -> dict[str, CalibrationCheck]:
    """Confidence against truth: the same label, and the same category, which it speaks of, where there are any."""
    judges: dict[str, Value] = {"label": label_of, "category": category_of}
    found = {
        name: calibration(trial.judge(trial.queries, results, value), results) for name, value in judges.items()
    }
    if not any(row.category for row in trial.queries):
        found.pop("category")
    return {name: one for name, one in found.items() if one is not None}


def _exactly(
    trial: GroundTruth, given: EvaluationInput, results: Results, looks: EmbeddingStore | None
) -> ExactFigures:
    """What takes the vectors themselves; nothing through Kafka, which does not show them."""
    if looks is None:
        return ExactFigures(None, {})
    encoder = looks.eyes.encoder
    exact = open_exact(trial, looks.look_at, (encoder.object_size, encoder.style_size))
    same = {column: same_elsewhere(exact, column) for column in given.same}
    return ExactFigures(
        engine_recall(exact, results), {name: found for name, found in same.items() if found is not None}
    )


def _asked(trial: GroundTruth, judged: Relevance) -> tuple[QueryResult, ...]:
    rows = zip(trial.queries, judged.relevant, judged.right, strict=True)
    return tuple(
        QueryResult(row.image, row.label, int(n), "".join("01"[bool(one)] for one in right))
        for row, n, right in rows
    )
