"""Evaluation run: indexes the catalogue, runs all searches, and computes all measures, in that order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from consumers.quality.evaluation.bootstrap import Estimate
from consumers.quality.evaluation.claim_checks import CalibrationCheck, calibration, categories, off_topic, strict
from consumers.quality.evaluation.colours import ColourNamers, colour_agreement, colour_name_of
from consumers.quality.evaluation.embedding_store import EmbeddingStore
from consumers.quality.evaluation.exact_search import engine_recall, open_exact, same_elsewhere
from consumers.quality.evaluation.ground_truth import (
    OBJECT,
    SIMILAR,
    WEIGHTINGS,
    GroundTruth,
    LabelFunction,
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
    by_group,
    filtered,
    score,
    search_by_weighting,
)
from consumers.quality.evaluation.robustness import robustness
from consumers.quality.evaluation.system_under_test import (
    SystemUnderTest,
    TrackProgress,
    calibrate,
    catalogue_id,
    index_rows,
)
from schemas.outcomes import ItemIndexed

COLOUR_WEIGHTINGS = (OBJECT, SIMILAR, "colour")


@dataclass(frozen=True)
class EvaluationInput:
    """The labelled pictures and the options of an evaluation."""

    catalogue: Sequence[LabelledImage]
    queries: Sequence[LabelledImage]
    off_topic_images: Sequence[LabelledImage] = ()
    """Pictures of things that the catalogue does not have."""
    same: tuple[str, ...] = ()
    """Columns whose agreement among items of other labels is measured."""
    robustness: int = 100
    """Queries that are corrupted; 0: none."""
    seed: int = 0


@dataclass(frozen=True)
class EvaluationSetup:
    """The system under test and its helpers. `store` is None where vectors are not available, as through Kafka."""

    system: SystemUnderTest
    through: str
    namers: ColourNamers
    track: TrackProgress
    store: EmbeddingStore | None


@dataclass(frozen=True)
class ExactFigures:
    """The measures that need the vectors: the engine's recall, and the agreement by column."""

    engine_recall: Estimate | None
    same: Mapping[str, Agreement]


@dataclass(frozen=True)
class EvaluationOutput:
    """The result, and the data from which a sheet of failures is drawn."""

    figures: EvaluationResult
    trial: GroundTruth
    results: Results
    judged: Relevance


def evaluate(data: EvaluationInput, setup: EvaluationSetup) -> EvaluationOutput:
    """Measure everything that is possible; raises BadInput when no query has a relevant picture, or Unavailable."""
    system, track, seed = setup.system, setup.track, data.seed
    truth, unusable = _prepare(data, setup)
    results = search_by_weighting(truth, system, track)
    relevance = {name: truth.relevance_of(truth.queries, answers) for name, answers in results.items()}
    main_relevance, main_results = relevance[SIMILAR], results[SIMILAR]
    exact_figures = _measure_exact(truth, data, main_results, setup.store)
    figures = EvaluationResult(
        through=setup.through,
        encoder=next((result.encoder for result in main_results if result.encoder), ""),
        catalogue=digest(data.catalogue),
        seed=seed,
        counts=_counts(data, truth, unusable),
        weightings={name: score(judged, seed) for name, judged in relevance.items()},
        by_category=by_group(truth, main_relevance, category_of),
        by_colour=by_group(truth, main_relevance, colour_of),
        filtered=filtered(truth, system, setup.namers.extractor, track),
        calibration=_calibration(truth, main_results),
        strict=strict(truth, system, track),
        off_topic=off_topic(truth, data.off_topic_images, system, track) if data.off_topic_images else None,
        engine_recall=exact_figures.engine_recall,
        colours=colour_agreement([*truth.catalogue, *truth.queries], setup.namers, seed, track),
        colour_hits=agreement(truth, {name: results[name] for name in COLOUR_WEIGHTINGS}, colour_name_of),
        same=exact_figures.same,
        robustness=robustness(truth, system, main_relevance, data.robustness, track) if data.robustness else None,
        # This must be last, because it indexes the queries.
        categories=categories(truth, main_results, system, track),
        queries=_query_results(truth, main_relevance),
    )
    return EvaluationOutput(figures, truth, main_results, main_relevance)


def _prepare(data: EvaluationInput, setup: EvaluationSetup) -> tuple[GroundTruth, tuple[str, ...]]:
    """Index the catalogue and calibrate the system; return the ground truth, and the unusable pictures."""
    rows = [(catalogue_id(position), row) for position, row in enumerate(data.catalogue)]
    outcomes = index_rows(setup.system, rows, setup.track, len(rows))
    indexed = [isinstance(outcomes.get(item_id), ItemIndexed) for item_id, _ in rows]
    query_colours = [setup.namers.extractor(row.path.read_bytes()) for row in data.queries]
    # A rejected picture stays, so that positions remain valid, but without a label, so that it is never relevant.
    catalogue = [
        row if is_indexed else LabelledImage(row.image, row.path)
        for row, is_indexed in zip(data.catalogue, indexed, strict=True)
    ]
    queries = [row for row, names in zip(data.queries, query_colours, strict=True) if names]
    truth = fair_ground_truth(catalogue, queries, data.seed)
    calibrate(setup.system, truth.questions(WEIGHTINGS[SIMILAR], truth.queries[:1])[0])
    unusable = [row.image for row, is_indexed in zip(data.catalogue, indexed, strict=True) if not is_indexed]
    unusable += [row.image for row, names in zip(data.queries, query_colours, strict=True) if not names]
    return truth, tuple(unusable)


def _counts(data: EvaluationInput, truth: GroundTruth, unusable: tuple[str, ...]) -> QueryCounts:
    indexed = sum(row.label != "" for row in truth.catalogue)
    rejected = len(data.catalogue) - indexed
    unanswerable = len(data.queries) - len(truth.queries) - (len(unusable) - rejected)
    return QueryCounts(indexed, len(truth.queries), unanswerable, unusable)


def _calibration(truth: GroundTruth, results: Results) -> dict[str, CalibrationCheck]:
    """Confidence checked against equal labels and, where queries have them, against equal categories.

    Categories are what a confidence refers to.
    """
    criteria: dict[str, LabelFunction] = {"label": label_of, "category": category_of}
    checks = {
        name: calibration(truth.relevance_of(truth.queries, results, value), results)
        for name, value in criteria.items()
    }
    if not any(row.category for row in truth.queries):
        checks.pop("category")
    return {name: check for name, check in checks.items() if check is not None}


def _measure_exact(
    truth: GroundTruth, data: EvaluationInput, results: Results, store: EmbeddingStore | None
) -> ExactFigures:
    """The measures that need the vectors; empty through Kafka, where the vectors are not available."""
    if store is None:
        return ExactFigures(None, {})
    encoder = store.embedder.encoder
    exact = open_exact(truth, store.embed, (encoder.object_size, encoder.style_size))
    same = {column: same_elsewhere(exact, column) for column in data.same}
    return ExactFigures(
        engine_recall(exact, results), {column: shares for column, shares in same.items() if shares is not None}
    )


def _query_results(truth: GroundTruth, relevance: Relevance) -> tuple[QueryResult, ...]:
    rows = zip(truth.queries, relevance.relevant, relevance.right, strict=True)
    return tuple(
        QueryResult(row.image, row.label, int(n), "".join("01"[bool(hit)] for hit in correct))
        for row, n, correct in rows
    )
