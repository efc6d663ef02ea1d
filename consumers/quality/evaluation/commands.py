"""Quality commands: `evaluate` measures search quality, `canary` monitors a running system."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from infra.config.errors import BadInput
from infra.console import FAILED, command_options

if TYPE_CHECKING:
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
    label: Annotated[
        str, typer.Option(help="Column of the label: pictures with the same one are correct hits.")
    ] = "label"
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
    coverage: Annotated[
        int, typer.Option(min=0, help="Queries whose category is taken out of the catalogue; 0: none.")
    ] = 300
    against: Annotated[
        Path | None,
        typer.Option(help="A result of --json to compare with; a regression ends with 1.", show_default=False),
    ] = None
    gate: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|default",
            help="Compare calibration errors with limits in a JSON file, or with .05; a larger one ends with 1.",
            show_default=False,
        ),
    ] = None
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document to standard output.")] = False
    sheet: Annotated[
        Path | None, typer.Option(help="Draw the 20 worst failures to this PNG file.", show_default=False)
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

    from consumers.quality.evaluation.evaluation_files import check_outputs, read_input, write_outputs
    from consumers.quality.evaluation.quality_gate import check_gate, read_limits
    from consumers.quality.evaluation.regression import compare, read_baseline
    from consumers.quality.evaluation.report import print_comparison, print_gate, print_result
    from consumers.quality.evaluation.results import as_json

    console = Console(stderr=options.json, highlight=False)
    check_outputs(options)
    earlier = read_baseline(options.against) if options.against else None
    limits = read_limits(options.gate) if options.gate else None
    output = _run_evaluation(options, read_input(options))
    print_result(output.figures, console)
    if options.json:
        sys.stdout.write(as_json(output.figures))
    write_outputs(options, output)
    failed = False
    if limits is not None:
        checks = check_gate(output.figures, limits)
        print_gate(checks, console)
        failed = any(check.is_exceeded for check in checks)
    if earlier is not None:
        comparison = compare(output.figures, earlier)
        print_comparison(comparison, console)
        failed = failed or bool(comparison.regressions)
    sys.exit(FAILED if failed else 0)


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
