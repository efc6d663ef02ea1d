"""Ablations: what each part of a search gains, on every set, by switching it off.

    python -m tests.evaluation.ablations CATALOG.csv:split=train QUERIES.csv:split=val --json ablations.json
    python -m tests.evaluation.ablations DATA --json ablations.json    (every set of `make evaluate`)

A gain is the measure with all parts minus that without one, paired by query: above 0, the part helps. Queries are
searched as they are, without colours, blurred, and dark. Parts that a collection leaves off by its own choice gain
nothing.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from rich.console import Console

from consumers.embedding.pipeline import ImagePipeline
from consumers.quality.evaluation.bootstrap import Estimate, differences, estimates
from consumers.quality.evaluation.corruptions import corrupt
from consumers.quality.evaluation.embedding_store import EmbeddingStore
from consumers.quality.evaluation.estimate_table import estimate_table, format_difference, format_estimate
from consumers.quality.evaluation.ground_truth import SIMILAR, WEIGHTINGS, GroundTruth, answerable_queries
from consumers.quality.evaluation.in_process import InProcessSystem, chunks, fetch_inline
from consumers.quality.evaluation.labelled_dataset import LabelColumns, parse_source, read_rows, sample
from consumers.quality.evaluation.ranking_metrics import per_query
from consumers.quality.evaluation.run import EvaluationSetup
from consumers.quality.evaluation.setup import SetupOptions
from consumers.quality.evaluation.system_under_test import SearchQuestion, calibrate, search_all
from consumers.scoring.calibrator import Calibrator
from consumers.scoring.look_parts import LookParts
from consumers.scoring.metric import DEFAULT_METRIC, Metric
from consumers.scoring.verification import NO_VERIFICATION, Verification
from consumers.searching.replies import ReplyPublisher
from consumers.searching.search_handler import SearchHandler
from consumers.vision.embedder import DEFAULT_OPTIONS, EmbedOptions
from consumers.vision.look import Look
from infra.array_types import Doubles
from infra.config.settings import Settings, read_settings
from infra.console import report_errors
from infra.encoder import EncoderUnavailable, open_encoder
from infra.qdrant.contract import Index
from schemas.failures import Failure
from schemas.results import SearchResult
from schemas.searches import Crop
from tests.evaluation.plain_average import WholePicture, open_plain, open_with_catalogue, search_plainly
from tests.evaluation.sets import draw_fashion, find_sets, read_set

FORMAT = "lookstream.ablations/1"
MEASURES = ("recall@1", "recall@5", "precision@10", "mAP@10")
CORRUPTED: Mapping[str, str] = {"grey": "grey", "blurred": "blur sigma 3", "dark": "brightness .4"}
"""How queries are searched, beside as they are, and the corruption that makes them so."""
CLEAN = "as they are"
CHUNK = 64
"""Pictures that are embedded together."""


@dataclass(frozen=True)
class Ablation:
    """Parts of a search that are off: `metric` takes them out of the collection's metric."""

    metric: Callable[[Metric], Metric] = lambda metric: metric
    is_verified: bool = True
    has_palette: bool = True
    """False: a search does not learn whether its picture has colours."""
    is_restored: bool = True


ABLATIONS: Mapping[str, Ablation] = {
    "metric of the collection": Ablation(lambda _: DEFAULT_METRIC),
    "its boost of the likely category": Ablation(lambda metric: replace(metric, category_weight=0.0)),
    "its weight of colours": Ablation(lambda metric: replace(metric, colour_factor=1.0)),
    "its choice of views": Ablation(lambda metric: replace(metric, whole_view=False)),
    "verification": Ablation(is_verified=False),
    "rule for pictures without colours": Ablation(has_palette=False),
    "restoration of dark and blurred queries": Ablation(is_restored=False),
}
SECOND_VIEW, PLAIN = "second view of photos", "all, against the plain average"
PARTS = (*ABLATIONS, SECOND_VIEW, PLAIN)

Values = Mapping[str, Mapping[str, Doubles]]
"""The values of each query, by how the queries are searched, and by measure."""
Estimates = Mapping[str, Mapping[str, Estimate]]


@dataclass(frozen=True)
class AblationResult:
    """What each part gains on one set, and what its collection has chosen."""

    queries: int
    pictures: int
    metric: str
    verification: str
    complete: Estimates
    gains: Mapping[str, Estimates]


class AblatedCalibrator(Calibrator):
    """Reads what a collection has learnt of itself, without the parts that are off."""

    def __init__(self, index: Index, store: EmbeddingStore, parts: LookParts, ablation: Ablation) -> None:
        super().__init__(index, store.embed, parts)
        self._ablation = ablation

    def metric(self, tenant: str) -> Metric:
        return self._ablation.metric(super().metric(tenant))

    def verification(self, tenant: str) -> Verification:
        return super().verification(tenant) if self._ablation.is_verified else NO_VERIFICATION


@dataclass(frozen=True)
class AblatedEmbedder:
    """Embeds pictures without the parts that are off."""

    store: EmbeddingStore
    ablation: Ablation

    def embed(
        self,
        pictures: Sequence[bytes],
        crops: Sequence[Crop | None] = (),
        options: EmbedOptions = DEFAULT_OPTIONS,
    ) -> list[Look | Failure]:
        options = replace(options, restored=options.restored and self.ablation.is_restored)
        looks = self.store.embed(pictures, crops, options)
        if self.ablation.has_palette:
            return looks
        return [replace(look, palette=()) if isinstance(look, Look) else look for look in looks]


def switch_off(system: InProcessSystem, store: EmbeddingStore, ablation: Ablation) -> InProcessSystem:
    """The same system, with the same index, that searches without some parts."""
    encoder = store.embedder.encoder
    parts = LookParts(encoder.object_size, encoder.style_size)
    calibrator = AblatedCalibrator(system.index, store, parts, ablation)
    pipeline = ImagePipeline(fetch_inline, AblatedEmbedder(store, ablation).embed, encoder.fingerprint)
    replies = ReplyPublisher(system.outbox, encoder.fingerprint)
    return replace(system, searches=SearchHandler(pipeline, system.index, calibrator, replies))


def make_questions(truth: GroundTruth) -> dict[str, list[SearchQuestion]]:
    """The searches by each query, as it is and corrupted; corrupted pictures are made once."""
    questions = {CLEAN: truth.questions(WEIGHTINGS[SIMILAR])}
    for name, corruption in CORRUPTED.items():
        pictures = [corrupt(row.read(), corruption) for row in truth.queries]
        questions[name] = [
            replace(question, picture=partial(bytes, picture))
            for question, picture in zip(questions[CLEAN], pictures, strict=True)
        ]
    return questions


def ablate(settings: Settings, options: SetupOptions, truth: GroundTruth) -> AblationResult:
    """Search with all parts, without each of them, without second views, and under the plain average."""
    questions, encoder = make_questions(truth), open_encoder(options.encoder, settings.torch)
    with open_with_catalogue(settings, encoder, options, truth) as setup:
        system, store = parts_of(setup, questions)
        metric, verification = (
            choose(system.tenant).describe()
            for choose in (system.confidence.metric, system.confidence.verification)
        )
        complete = _values(truth, questions, partial(_search, setup, system))
        others = {
            name: _values(truth, questions, partial(_search, setup, switch_off(system, store, ablation)))
            for name, ablation in ABLATIONS.items()
        }
    with open_with_catalogue(settings, WholePicture(encoder), options, truth) as setup:
        system, _ = parts_of(setup, questions)
        others[SECOND_VIEW] = _values(truth, questions, partial(_search, setup, system))
    with open_with_catalogue(settings, open_plain(settings, options.encoder), options, truth) as setup:
        others[PLAIN] = _values(truth, questions, partial(search_plainly, setup))
    return AblationResult(
        len(truth.queries), len(truth.catalogue), metric, verification,
        {name: estimates(values, truth.seed) for name, values in complete.items()},
        {
            part: {name: differences(values, found[name], truth.seed) for name, values in complete.items()}
            for part, found in others.items()
        },
    )  # fmt: skip


def parts_of(
    setup: EvaluationSetup, questions: Mapping[str, Sequence[SearchQuestion]]
) -> tuple[InProcessSystem, EmbeddingStore]:
    """The system and the store of a setup, after the system has calibrated itself.

    The store has the looks of all questions then: keypoints that it stores are rounded, so that a search with a new
    look may differ from the next one.
    """
    assert isinstance(setup.system, InProcessSystem)
    assert setup.store is not None
    calibrate(setup.system, questions[CLEAN][0])
    for some in questions.values():
        for batch in chunks(some, CHUNK):
            setup.store.embed([question.picture() for question in batch])
    return setup.system, setup.store


def _search(
    setup: EvaluationSetup, system: InProcessSystem, questions: Sequence[SearchQuestion]
) -> list[SearchResult]:
    return search_all(system, questions, setup.track, "searching")


def _values(
    truth: GroundTruth,
    questions: Mapping[str, Sequence[SearchQuestion]],
    search: Callable[[Sequence[SearchQuestion]], Sequence[SearchResult]],
) -> Values:
    found = {name: per_query(truth.relevance_of(truth.queries, search(some))) for name, some in questions.items()}
    return {name: {measure: values[measure] for measure in MEASURES} for name, values in found.items()}


def print_ablations(name: str, result: AblationResult, console: Console) -> None:
    """Print what each part gains, for each way in which the queries are searched."""
    console.print(f"{name}: {result.queries} queries, {result.pictures} pictures", markup=False)
    console.print(f"metric: {result.metric}\nverification: {result.verification}", markup=False)
    for manner, complete in result.complete.items():
        table = estimate_table(f"queries {manner}: gain of each part", "part", *complete)
        table.add_row("(with all parts)", *map(format_estimate, complete.values()), end_section=True)
        for part in PARTS:
            table.add_row(part, *map(format_difference, result.gains[part][manner].values()))
        console.print(table)


def read_truths(sources: Sequence[str], limit: int) -> Iterator[tuple[str, GroundTruth]]:
    """The ground truth of a catalogue and queries, or of each set below a folder; raises BadInput."""
    if len(sources) == 2:
        rows = [sample(read_rows(parse_source(text), LabelColumns()), limit, 0) for text in sources]
        truths = {sources[1]: rows}
    else:
        with TemporaryDirectory() as drawn:
            data = Path(sources[0])
            draw_fashion(data / "fashion" / "products.csv", Path(drawn))
            truths = {each.name: [*read_set(each, data, Path(drawn))] for each in find_sets(data)}
            truths = {name: [sample(some, limit, 0) for some in rows] for name, rows in truths.items()}
    for name, (catalogue, queries) in truths.items():
        truth = GroundTruth(tuple(catalogue), tuple(queries))
        yield name, replace(truth, queries=answerable_queries(truth))


def main(
    sources: Annotated[list[str], typer.Argument(help="CATALOG and QUERIES, or the folder of `make evaluate`")],
    encoder: Annotated[str | None, typer.Option(help="As LOOKSTREAM_ENCODER, which is the default")] = None,
    limit: Annotated[int, typer.Option(help="Rows of each table at most, at random; 0: all")] = 0,
    report: Annotated[Path, typer.Option("--json", help="Write all figures here")] = Path("ablations.json"),
) -> None:
    """Measure what each part of a search gains."""
    with report_errors(EncoderUnavailable, FileNotFoundError):
        settings = read_settings()
        options = SetupOptions(encoder or settings.encoder, settings.data / "looks", Console(highlight=False))
        found = {}
        for name, truth in read_truths(sources, limit):
            found[name] = ablate(settings, options, truth)
            print_ablations(name, found[name], options.console)
        document = {"format": FORMAT, "sets": {name: asdict(result) for name, result in found.items()}}
        report.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
