"""Is it good? `make evaluate DATA=folder`: every trial on the folder's sets, as figures and as a page.

The folder holds grocery/ and clothing/ with labels.csv, and fashion/ with products.csv (see each one's rows below).
"""

import csv
import json
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from rich.console import Console

from consumers.quality.evaluation.failure_sheet import draw_failures, worst_failures
from consumers.quality.evaluation.labelled_dataset import LabelColumns, parse_source, read_rows
from consumers.quality.evaluation.report import print_result
from consumers.quality.evaluation.results import EvaluationResult, as_json
from consumers.quality.evaluation.run import EvaluationInput, evaluate
from consumers.quality.evaluation.setup import SetupOptions, open_setup
from infra.config.settings import Settings, read_settings
from infra.console import report_errors
from infra.encoder import EncoderUnavailable
from tests.evaluation.page import page

FASHION_QUERIES, FASHION_CATALOGUE = 500, 4_000
FASHION = LabelColumns("articleType", "articleType", "baseColour", ("usage", "season"))
LABELLED = LabelColumns()
FORMAT = "lookstream.evaluation-suite/1"


@dataclass(frozen=True)
class Trial:
    """One evaluation: tables below the data folder, as `lookstream evaluate` takes them."""

    name: str
    catalogue: str
    queries: str
    strangers: str = ""
    columns: LabelColumns = LABELLED
    root: str | None = None


TRIALS = (
    Trial("grocery photo to icon", "grocery/labels.csv:split=catalog", "grocery/labels.csv:split=val"),
    Trial(
        "grocery photo to photo", "grocery/labels.csv:split=train", "grocery/labels.csv:split=val",
        "clothing/labels.csv:split=validation",
    ),
    Trial(
        "clothing photo to photo", "clothing/labels.csv:split=train", "clothing/labels.csv:split=validation",
        "grocery/labels.csv:split=val",
    ),
    Trial("fashion", "catalogue.csv", "queries.csv", "", FASHION, "fashion"),
)  # fmt: skip


def given(trial: Trial, data: Path, drawn: Path, robustness: int) -> EvaluationInput:
    """The rows of a trial; those of fashion are drawn at random, because the set has no split."""
    folder, root = (drawn, data / trial.root) if trial.root else (data, None)
    catalogue, queries = (
        read_rows(parse_source(str(folder / table)), trial.columns, root)
        for table in (trial.catalogue, trial.queries)
    )
    strangers = read_rows(parse_source(str(data / trial.strangers)), LabelColumns(None)) if trial.strangers else ()
    return EvaluationInput(catalogue, queries, strangers, trial.columns.same, robustness)


def draw_fashion(products: Path, into: Path) -> None:
    """Tables of queries (ids that end with 0) and of a catalogue (others), the same ones each time."""
    with products.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    lot = random.Random(0)
    ending = [row for row in rows if int(row["id"]) % 10 == 0]
    others = [row for row in rows if int(row["id"]) % 10]
    for name, some, count in (
        ("queries.csv", ending, FASHION_QUERIES), ("catalogue.csv", others, FASHION_CATALOGUE),
    ):  # fmt: skip
        with (into / name).open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(lot.sample(some, min(count, len(some))))


def run(
    settings: Settings, data: Path, means: SetupOptions, sheets: Path | None, robustness: int
) -> dict[str, EvaluationResult]:
    """The figures of every trial, shown one after another."""
    found = {}
    with TemporaryDirectory() as drawn:
        draw_fashion(data / "fashion" / "products.csv", Path(drawn))
        for trial in TRIALS:
            means.console.rule(trial.name)
            started = time.monotonic()
            with open_setup(settings, "direct", means) as bench:
                outcome = evaluate(given(trial, data, Path(drawn), robustness), bench)
            print_result(outcome.figures, means.console)
            means.console.print(f"{time.monotonic() - started:.0f} s")
            found[trial.name] = outcome.figures
            if sheets is not None:
                sheet = draw_failures(worst_failures(outcome.trial, outcome.results, outcome.relevance))
                sheet.save(sheets / f"{trial.name.replace(' ', '-')}.png")
    return found


def main(
    data: Annotated[Path, typer.Argument(help="Folder with grocery, clothing and fashion", exists=True)],
    encoder: Annotated[str | None, typer.Option(help="As LOOKSTREAM_ENCODER, which is the default")] = None,
    report: Annotated[Path, typer.Option("--json", help="Write all figures here")] = Path("evaluation.json"),
    document: Annotated[Path, typer.Option("--page", help="Write the page here")] = Path("docs/evaluation.md"),
    sheets: Annotated[Path | None, typer.Option(help="Folder for pictures of the worst_failures failures")] = None,
    robustness: Annotated[int, typer.Option(help="Queries of each trial that are corrupted; 0: none")] = 100,
) -> None:
    """Run every trial and write the results."""
    with report_errors(EncoderUnavailable, FileNotFoundError):
        settings = read_settings()
        means = SetupOptions(encoder or settings.encoder, settings.data / "looks", Console(highlight=False))
        found = run(settings, data, means, sheets, robustness)
        report.write_text(json.dumps(as_document(found), indent=1) + "\n", encoding="utf-8")
        document.parent.mkdir(parents=True, exist_ok=True)
        document.write_text(page(found), encoding="utf-8")
        means.console.print(f"wrote {report} and {document}", markup=False)


def as_document(found: Mapping[str, EvaluationResult]) -> dict[str, object]:
    """All figures as one JSON document; each trial's is what `lookstream evaluate --against` takes."""
    return {"format": FORMAT, "trials": {name: json.loads(as_json(figures)) for name, figures in found.items()}}


if __name__ == "__main__":
    typer.run(main)
