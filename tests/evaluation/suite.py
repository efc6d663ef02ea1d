"""The evaluation suite, `make evaluate DATA=folder`: every set of the folder, as figures and as a page.

The folder has grocery/ and clothing/ with labels.csv, fashion/ with products.csv, and further sets: any folder with
a labels.csv of the columns image, split and label (sets.py has the splits).
"""

import json
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from rich.console import Console

from consumers.quality.evaluation.bootstrap import Estimate, differences
from consumers.quality.evaluation.failure_sheet import draw_failures, worst_failures
from consumers.quality.evaluation.ground_truth import SIMILAR, WEIGHTINGS
from consumers.quality.evaluation.ranking_metrics import per_query
from consumers.quality.evaluation.report import print_result
from consumers.quality.evaluation.results import as_json
from consumers.quality.evaluation.run import EvaluationInput, EvaluationOutput, evaluate
from consumers.quality.evaluation.setup import SetupOptions, open_setup
from infra.config.settings import Settings, read_settings
from infra.console import report_errors
from infra.encoder import EncoderUnavailable
from tests.evaluation.page import page
from tests.evaluation.page_set import SetResult
from tests.evaluation.plain_average import open_plain, open_with_catalogue, search_plainly
from tests.evaluation.sets import LabelledSet, draw_fashion, find_sets, read_off_topic, read_set

FORMAT = "lookstream.evaluation-suite/2"
COVERAGE_QUERIES = 500


def run(
    settings: Settings, data: Path, options: SetupOptions, sheets: Path | None, robustness: int
) -> dict[str, SetResult]:
    """The figures of every set, printed one after another."""
    found = {}
    with TemporaryDirectory() as drawn:
        draw_fashion(data / "fashion" / "products.csv", Path(drawn))
        for each in find_sets(data):
            options.console.rule(each.name)
            started = time.monotonic()
            output = _evaluate(settings, each, (data, Path(drawn)), options, robustness)
            print_result(output.figures, options.console)
            gains = compare_with_plain(settings, options, output)
            found[each.name] = SetResult(output.figures, gains, each.choices)
            options.console.print(f"{time.monotonic() - started:.0f} s")
            if sheets is not None:
                sheet = draw_failures(worst_failures(output.trial, output.results, output.relevance))
                sheet.save(sheets / f"{each.name.replace(' ', '-')}.png")
    return found


def _evaluate(
    settings: Settings, each: LabelledSet, folders: tuple[Path, Path], options: SetupOptions, robustness: int
) -> EvaluationOutput:
    catalogue, queries = read_set(each, *folders)
    given = EvaluationInput(
        catalogue, queries, read_off_topic(each, folders[0]), each.columns.same, robustness, COVERAGE_QUERIES
    )
    with open_setup(settings, "direct", options) as setup:
        return evaluate(given, setup)


def compare_with_plain(settings: Settings, options: SetupOptions, output: EvaluationOutput) -> dict[str, Estimate]:
    """Each measure minus that of the plain average of the same network, paired by query."""
    truth = output.trial
    with open_with_catalogue(settings, open_plain(settings, options.encoder), options, truth) as setup:
        results = search_plainly(setup, truth.questions(WEIGHTINGS[SIMILAR]))
    plain = truth.relevance_of(truth.queries, results)
    return differences(per_query(output.relevance), per_query(plain), truth.seed)


def main(
    data: Annotated[Path, typer.Argument(help="Folder with grocery, clothing and fashion", exists=True)],
    encoder: Annotated[str | None, typer.Option(help="As LOOKSTREAM_ENCODER, which is the default")] = None,
    report: Annotated[Path, typer.Option("--json", help="Write all figures here")] = Path("evaluation.json"),
    document: Annotated[Path, typer.Option("--page", help="Write the page here")] = Path("docs/evaluation.md"),
    sheets: Annotated[Path | None, typer.Option(help="Folder for a picture of each set's worst failures")] = None,
    robustness: Annotated[int, typer.Option(help="Queries of each set that are corrupted; 0: none")] = 100,
) -> None:
    """Evaluate every set, and write the figures and the page."""
    with report_errors(EncoderUnavailable, FileNotFoundError):
        settings = read_settings()
        for folder in filter(None, (sheets, report.parent, document.parent)):
            folder.mkdir(parents=True, exist_ok=True)
        options = SetupOptions(encoder or settings.encoder, settings.data / "looks", Console(highlight=False))
        found = run(settings, data, options, sheets, robustness)
        report.write_text(json.dumps(as_document(found), indent=1) + "\n", encoding="utf-8")
        document.write_text(page(found), encoding="utf-8")
        options.console.print(f"wrote {report} and {document}", markup=False)


def as_document(found: Mapping[str, SetResult]) -> dict[str, object]:
    """All figures as one JSON document; those of each set are what `lookstream evaluate --against` takes."""
    sets = {name: json.loads(as_json(result.figures)) for name, result in found.items()}
    gains = {name: {k: asdict(gain) for k, gain in result.gains.items()} for name, result in found.items()}
    return {"format": FORMAT, "trials": sets, "gains over the plain average": gains}


if __name__ == "__main__":
    typer.run(main)
