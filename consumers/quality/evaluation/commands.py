"""Quality commands: `evaluate` measures search quality, `canary` monitors a running system."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from infra.config.errors import BadInput
from infra.console import FAILED, command_options

if TYPE_CHECKING:
    from consumers.quality.evaluation.labelled_dataset import LabelColumns, LabelledImage
    from consumers.quality.evaluation.run import EvaluationInput, EvaluationOutput

app = typer.Typer()

TABLE = "CSV[:COLUMN=VALUE,...]"
DATASET_FORMATS = ("lookbench", "ilias", "sop", "deepfashion2", "rp2k", "mieb")
"""Names of the formats in datasets/formats.py, which is not imported here, so that --help stays quick."""


@dataclass(frozen=True)
class EvaluateOptions:
    """Options of `evaluate`."""

    catalog: Annotated[
        str | None,
        typer.Option(
            metavar=TABLE, help="The pictures to search among, as labels.csv:split=train.", show_default=False
        ),
    ] = None
    queries: Annotated[
        str | None, typer.Option(metavar=TABLE, help="The pictures to search by.", show_default=False)
    ] = None
    dataset: Annotated[
        Path | None,
        typer.Option(help="Folder of a public set, by its own protocol, instead of tables.", show_default=False),
    ] = None
    split: Annotated[str | None, typer.Option(help="Split or subset of the set.", show_default=False)] = None
    format: Annotated[
        str | None,
        typer.Option(
            metavar="|".join(DATASET_FORMATS), help="Format of the set; else it is recognised.", show_default=False
        ),
    ] = None
    image_root: Annotated[
        Path | None,
        typer.Option(help="Folder that the tables' paths start from; else each table's own.", show_default=False),
    ] = None
    label: Annotated[str, typer.Option(help="Column that says what is right.")] = "label"
    category: Annotated[
        str | None, typer.Option(help="Column of the category; `category` where there is one.", show_default=False)
    ] = None
    colour: Annotated[
        str | None, typer.Option(help="Column of the colour; `colour` where there is one.", show_default=False)
    ] = None
    same: Annotated[
        list[str] | None,
        typer.Option(help="Column in which hits of other labels should agree with the query.", show_default=False),
    ] = None
    off_topic: Annotated[
        str | None,
        typer.Option(metavar=TABLE, help="Pictures of what the catalogue does not have.", show_default=False),
    ] = None
    through: Annotated[
        Literal["direct", "kafka"], typer.Option(help="In this process, or through a running `lookstream up`.")
    ] = "direct"
    encoder: Annotated[
        str | None, typer.Option(help="Another encoder than LOOKSTREAM_ENCODER; direct only.", show_default=False)
    ] = None
    limit: Annotated[
        int,
        typer.Option(
            min=0,
            help="Take this many rows of each table at most, at random; of a set, this many queries, all that is "
            "relevant to them, and this many other pictures. 0: all.",
        ),
    ] = 0
    robustness: Annotated[int, typer.Option(min=0, help="Queries that are corrupted; 0: none.")] = 100
    against: Annotated[
        Path | None,
        typer.Option(help="A result of --json to compare with; a regression ends with 1.", show_default=False),
    ] = None
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document to standard output.")] = False
    sheet: Annotated[
        Path | None, typer.Option(help="Write the worst_failures failures to this PNG file.", show_default=False)
    ] = None
    run: Annotated[
        Path | None, typer.Option(help="Write the hits to this file, as a run of TREC.", show_default=False)
    ] = None
    qrels: Annotated[
        Path | None, typer.Option(help="Write what is relevant to this file, as TREC's qrels.", show_default=False)
    ] = None
    cache: Annotated[
        Path | None, typer.Option(help="Cache of looks; default: in LOOKSTREAM_DATA.", show_default=False)
    ] = None
    seed: Annotated[int, typer.Option(min=0, help="Seed of all random choices.")] = 0


@app.command()
@command_options(EvaluateOptions)
def evaluate(options: EvaluateOptions) -> None:
    """Measure the quality: search labelled pictures by labelled pictures, and count the correct hits."""
    import sys

    from rich.console import Console

    from consumers.quality.evaluation.regression import compare, read_baseline
    from consumers.quality.evaluation.report import print_comparison, print_result
    from consumers.quality.evaluation.results import as_json

    console = Console(stderr=options.json, highlight=False)
    _check_outputs(options)
    earlier = read_baseline(options.against) if options.against else None
    output = _run_evaluation(options, _read_input(options))
    print_result(output.figures, console)
    if options.json:
        sys.stdout.write(as_json(output.figures))
    if options.sheet is not None:
        _write_sheet(options.sheet, output)
    _write_trec(options, output)
    if earlier is not None:
        comparison = compare(output.figures, earlier)
        print_comparison(comparison, console)
        sys.exit(FAILED if comparison.regressions else 0)


def _check_outputs(options: EvaluateOptions) -> None:
    """Raise BadInput for a file that cannot be written, before the evaluation, which may take hours."""
    for name, file in (("--sheet", options.sheet), ("--run", options.run), ("--qrels", options.qrels)):
        if file is not None and (file.is_dir() or not file.parent.is_dir()):
            raise BadInput(f"{name} {file} cannot be written: name a file in a folder that exists")


def _read_input(options: EvaluateOptions) -> "EvaluationInput":
    from consumers.quality.evaluation.labelled_dataset import LabelColumns
    from consumers.quality.evaluation.rankings import PAGE
    from consumers.quality.evaluation.run import EvaluationInput

    # Off-topic pictures have another folder: that of their own table.
    off_topic_images = (
        _rows(replace(options, image_root=None), options.off_topic, LabelColumns(None)) if options.off_topic else ()
    )
    columns = LabelColumns(options.label, options.category, options.colour, tuple(options.same or ()))
    depth = PAGE if options.run else 0
    if options.dataset is not None:
        data = _read_dataset(options, options.dataset)
    elif options.catalog is None or options.queries is None or options.split or options.format:
        raise BadInput(
            "name the pictures: either --catalog and --queries with tables, or --dataset with the folder of a set, "
            "which --split and --format belong to"
        )
    else:
        catalogue, queries = (_rows(options, text, columns) for text in (options.catalog, options.queries))
        data = EvaluationInput(catalogue, queries, same=columns.same)
    return replace(
        data, off_topic_images=off_topic_images, robustness=options.robustness, seed=options.seed, rank_depth=depth
    )


def _read_dataset(options: EvaluateOptions, folder: Path) -> "EvaluationInput":
    from consumers.quality.evaluation.datasets.formats import open_dataset
    from consumers.quality.evaluation.datasets.selection import select
    from consumers.quality.evaluation.run import EvaluationInput

    if any((options.catalog, options.queries, options.image_root, options.category, options.colour, options.same)):
        raise BadInput("--dataset reads all from the set: leave out the tables, --image-root and the columns")
    dataset = open_dataset(folder, options.split, options.format)
    chosen = select(dataset, options.limit, options.seed)
    rule = f"{dataset.rule}; a sample (--limit {options.limit}), which is easier than the whole set"
    dataset = replace(dataset, rule=rule) if options.limit else dataset
    return EvaluationInput(
        chosen.catalogue, chosen.queries, dataset=dataset, qrels=chosen.qrels, skipped=chosen.skipped
    )


def _rows(options: EvaluateOptions, text: str, columns: "LabelColumns") -> "list[LabelledImage]":
    from consumers.quality.evaluation.labelled_dataset import parse_source, read_rows, sample

    return sample(read_rows(parse_source(text), columns, options.image_root), options.limit, options.seed)


def _run_evaluation(options: EvaluateOptions, data: "EvaluationInput") -> "EvaluationOutput":
    """Run the evaluation, with progress bars on standard error."""
    from consumers.quality.evaluation.run import evaluate
    from consumers.quality.evaluation.setup import SetupOptions, open_setup
    from infra.config.settings import read_settings
    from infra.console import error_console, report_errors
    from infra.encoder import EncoderUnavailable

    if options.through == "kafka" and options.encoder:
        raise BadInput("--encoder is for --through direct: through Kafka the running system has its own")
    settings = read_settings()
    setup_options = SetupOptions(
        options.encoder or settings.encoder, options.cache or settings.data / "looks", error_console()
    )
    with report_errors(EncoderUnavailable), open_setup(settings, options.through, setup_options) as setup:
        return evaluate(data, setup)


def _write_sheet(file: Path, output: "EvaluationOutput") -> None:
    from consumers.quality.evaluation.failure_sheet import draw_failures, worst_failures

    try:
        draw_failures(worst_failures(output.trial, output.results, output.judged)).save(file, "PNG")
    except OSError as error:
        raise BadInput(f"--sheet {file} cannot be written: {error.strerror}") from None


def _write_trec(options: EvaluateOptions, output: "EvaluationOutput") -> None:
    from consumers.quality.evaluation.trec import write_qrels, write_run

    if options.run is not None and output.rankings is not None:
        write_run(options.run, output.trial, output.rankings, output.figures.encoder)
    if options.qrels is not None:
        write_qrels(options.qrels, output.trial)


@dataclass(frozen=True)
class CanaryOptions:
    """Options of `canary`."""

    every: Annotated[float, typer.Option(min=1, help="Seconds from one round to the next.")] = 60
    queries: Annotated[int, typer.Option(min=1, max=200, help="Searches of each kind in a round.")] = 16
    tenant: Annotated[str, typer.Option(help="Tenant whose items are searched.")] = "default"
    rounds: Annotated[int, typer.Option(min=0, help="Number of rounds; 0: until it is stopped.")] = 0
    metrics: Annotated[
        int | None,
        typer.Option(help="Port of the metrics, instead of LOOKSTREAM_METRICS_PORT.", show_default=False),
    ] = None


@app.command()
@command_options(CanaryOptions)
def canary(options: CanaryOptions) -> None:
    """Measure a running system at intervals: recall, first hits, freshness and drift, as metrics."""
    from consumers.quality.canary.runner import run_canary
    from infra.config.settings import read_settings
    from infra.console import report_errors
    from infra.observability.logging import configure_logs
    from infra.observability.redaction import redaction

    with report_errors():
        settings = read_settings()
        if options.metrics is not None:
            settings = settings.with_port("metrics", options.metrics)
        configure_logs(settings.logs, "canary", redaction(settings))
        succeeded = run_canary(settings, options)
    raise typer.Exit(0 if succeeded else FAILED)
