"""Evaluation run: indexes the catalogue, runs all searches, and computes all measures, in that order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from consumers.quality.evaluation.bootstrap import Estimate, estimate
from consumers.quality.evaluation.calibration_check import check_calibration
from consumers.quality.evaluation.claim_checks import categories, off_topic, strict
from consumers.quality.evaluation.colours import ColourNamers, colour_agreement, colour_name_of
from consumers.quality.evaluation.coverage_check import check_coverage
from consumers.quality.evaluation.datasets.retrieval_dataset import RetrievalDataset, SkippedEntry
from consumers.quality.evaluation.embedding_store import EmbeddingStore
from consumers.quality.evaluation.exact_search import engine_recall, open_exact, same_elsewhere
from consumers.quality.evaluation.ground_truth import (
    SIMILAR,
    WEIGHTINGS,
    GroundTruth,
    answerable_queries,
    category_of,
    colour_of,
)
from consumers.quality.evaluation.labelled_dataset import LabelledImage, digest
from consumers.quality.evaluation.qrels import Qrels
from consumers.quality.evaluation.ranking_metrics import DEPTH, Relevance, per_query
from consumers.quality.evaluation.rankings import Rankings, rank
from consumers.quality.evaluation.results import EvaluationResult, ProtocolResult, QueryCounts, QueryResult
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

MAX_EXACT = 200_000
"""Pictures of a catalogue that is searched exactly too: with 2,500 dimensions their vectors take 2 GB."""


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
    coverage: int = 0
    """Queries whose category is taken out of the catalogue; 0: none."""
    seed: int = 0
    dataset: RetrievalDataset | None = None
    """The public set that the pictures are of, whose protocol is applied; None: tables of one's own."""
    qrels: Qrels | None = None
    """The judgements of the set; None: pictures with the same label are relevant."""
    skipped: tuple[SkippedEntry, ...] = ()
    """Entries of the set that cannot be used."""
    rank_depth: int = 0
    """Hits that are ranked for each query, as for a run file; 0: those that the official measure needs."""


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
    relevance: Relevance
    rankings: Rankings | None = None
    """The hits of each query with the weighting `similar`, if ranked."""


def evaluate(data: EvaluationInput, setup: EvaluationSetup) -> EvaluationOutput:
    """Measure everything that is possible; raises BadInput when no query has a relevant picture, or Unavailable."""
    system, track, seed = setup.system, setup.track, data.seed
    truth, counts = _prepare(data, setup)
    results, relevance = search_by_weighting(truth, system, track)
    main_relevance, main_results = relevance[SIMILAR], results[SIMILAR]
    exact_figures = _measure_exact(truth, data, setup)
    rankings = _rank(data, truth, setup)
    figures = EvaluationResult(
        through=setup.through,
        encoder=next((result.encoder for result in main_results if result.encoder), ""),
        catalogue=digest(data.catalogue),
        seed=seed,
        counts=counts,
        weightings={name: score(found, seed) for name, found in relevance.items()},
        by_category=by_group(truth, main_relevance, category_of),
        by_colour=by_group(truth, main_relevance, colour_of),
        filtered=filtered(truth, system, setup.namers.extractor, track),
        calibration=check_calibration(truth, main_results),
        strict=strict(truth, system, track),
        off_topic=off_topic(truth, data.off_topic_images, system, track) if data.off_topic_images else None,
        engine_recall=exact_figures.engine_recall,
        colours=colour_agreement([*truth.catalogue, *truth.queries], setup.namers, seed, track),
        colour_hits=agreement(truth, results, colour_name_of),
        same=exact_figures.same,
        robustness=robustness(truth, system, main_relevance, data.robustness, track) if data.robustness else None,
        coverage=check_coverage(truth, main_results, system, data.coverage, track) if data.coverage else None,
        # This must be last, because it indexes the queries.
        categories=categories(truth, main_results, system, track),
        queries=_query_results(truth, main_relevance),
        protocol=_apply_protocol(data, truth, main_relevance, rankings),
    )
    return EvaluationOutput(figures, truth, main_results, main_relevance, rankings)


def _prepare(data: EvaluationInput, setup: EvaluationSetup) -> tuple[GroundTruth, QueryCounts]:
    """Index the catalogue and calibrate the system; return the ground truth, and what is in it."""
    rows = [(catalogue_id(position), row) for position, row in enumerate(data.catalogue)]
    outcomes = index_rows(setup.system, rows, setup.track, len(rows))
    rejected = [n for n, (item_id, _) in enumerate(rows) if not isinstance(outcomes.get(item_id), ItemIndexed)]
    query_colours = [setup.namers.extractor(row.read()) for row in data.queries]
    queries = tuple(row for row, names in zip(data.queries, query_colours, strict=True) if names)
    truth = GroundTruth(_without_labels(data.catalogue, rejected), queries, data.seed, data.qrels)
    if data.qrels is not None:
        truth = replace(truth, qrels=data.qrels.without(rejected))
    answerable = answerable_queries(truth)
    unreadable = {data.catalogue[n].picture_key: data.catalogue[n].image for n in rejected}
    unreadable |= {
        row.picture_key: row.image for row, names in zip(data.queries, query_colours, strict=True) if not names
    }
    unanswerable = len(queries) - len(answerable)
    counts = QueryCounts(len(rows) - len(rejected), len(queries), unanswerable, tuple(unreadable.values()))
    if data.dataset is None:
        truth, counts = replace(truth, queries=answerable), replace(counts, queries=len(answerable))
    calibrate(setup.system, truth.questions(WEIGHTINGS[SIMILAR], truth.queries[:1])[0])
    return truth, counts


def _without_labels(catalogue: Sequence[LabelledImage], rejected: Sequence[int]) -> tuple[LabelledImage, ...]:
    """The catalogue, with rejected pictures, so that positions remain valid, but without their labels, so that they
    are never relevant."""
    rows = list(catalogue)
    for position in rejected:
        rows[position] = replace(rows[position], label="", category="", colour="", values={})
    return tuple(rows)


def _rank(data: EvaluationInput, truth: GroundTruth, setup: EvaluationSetup) -> Rankings | None:
    """The rankings, if they are requested, or if the official measure needs more hits than all searches have."""
    depth = data.dataset.measure.k if data.dataset is not None and data.dataset.measure.k > DEPTH else 0
    depth = max(depth, data.rank_depth)
    return rank(truth, setup.system, depth, setup.track) if depth else None


def _apply_protocol(
    data: EvaluationInput, truth: GroundTruth, relevance: Relevance, rankings: Rankings | None
) -> ProtocolResult | None:
    """The official measure of a public set; None for tables of one's own."""
    if data.dataset is None:
        return None
    dataset, measure = data.dataset, data.dataset.measure
    values = rankings.values(truth, measure) if rankings is not None else per_query(relevance)[measure.name]
    reasons = {entry.name: entry.reason for entry in data.skipped}
    value = estimate(values, data.seed)
    return ProtocolResult(dataset.name, dataset.split, dataset.rule, measure.name, value, reasons)


def _measure_exact(truth: GroundTruth, data: EvaluationInput, setup: EvaluationSetup) -> ExactFigures:
    """The measures that need the vectors; empty where these are not available, or too many for the memory."""
    store = setup.store
    if store is None or len(truth.catalogue) > MAX_EXACT:
        return ExactFigures(None, {})
    encoder = store.embedder.encoder
    exact = open_exact(truth, store.embed, (encoder.object_size, encoder.style_size))
    same = {column: same_elsewhere(exact, column) for column in data.same}
    return ExactFigures(
        engine_recall(exact, setup.system, setup.track),
        {column: shares for column, shares in same.items() if shares is not None},
    )


def _query_results(truth: GroundTruth, relevance: Relevance) -> tuple[QueryResult, ...]:
    rows = zip(truth.queries, relevance.relevant, relevance.right, strict=True)
    return tuple(
        QueryResult(row.image, row.label, int(n), "".join("01"[bool(hit)] for hit in correct))
        for row, n, correct in rows
    )
