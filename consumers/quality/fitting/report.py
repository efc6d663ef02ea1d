"""Fit report: prints the result of a fit as lines and tables, and builds the document for report.json."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from rich.console import Console
from rich.table import Table

from consumers.quality.fitting.fit import FitComparison, FitResult, HeadReport
from consumers.quality.fitting.whitening_base import MIN_PICTURES, SHIPPED_AXES
from infra.console import format_count, printable

MEASURES = ("precision@1", "precision@10", "mAP@10", "recall@5")
"""The measures that the tables show, of all that are computed."""
MAX_NAMED = 3
"""The number of unreadable pictures that are named."""


@dataclass(frozen=True)
class FitReport:
    """The data and the seed of a fit; `unreadable` lists the skipped pictures, each with the reason."""

    backbone: str
    pictures: int
    studio: int
    unreadable: Sequence[str]
    seed: int

    def describe_data(self, result: FitResult) -> str:
        """The description of the fitting data that is stored with the tensors as `fitted_on`."""
        labels = f", {result.head.labels} labels" if result.head else ", no labels"
        return f"{self.pictures} pictures, {self.studio} of them studio pictures{labels}"


def as_document(report: FitReport, result: FitResult) -> dict[str, object]:
    """All results, for report.json."""
    date = datetime.now(UTC).isoformat(timespec="seconds")
    head = asdict(result.head) if result.head else None
    return {"date": date} | asdict(report) | {"base": result.base, "bases": result.bases, "head": head}


def print_report(report: FitReport, result: FitResult, console: Console) -> None:
    """Print the data, the base, the measures of the head on seen and unseen labels, and the head's share."""
    for line in _lines(report, result):
        console.print(line, markup=False, soft_wrap=True)
    if result.head is None:
        return
    console.print(_table("labels that the head saw, pictures held back", result.head.seen))
    if result.head.unseen is not None:
        title = f"{format_count(result.head.unseen_labels, 'label', 'labels')} that a trial head never saw"
        console.print(_table(title, result.head.unseen))
    console.print(_advice(result.head), markup=False, soft_wrap=True)


def _lines(report: FitReport, result: FitResult) -> Iterator[str]:
    yield f"{report.backbone}, fitted on {report.describe_data(result)}"
    if report.unreadable:
        named = "; ".join(report.unreadable[:MAX_NAMED]) + ("; ..." if len(report.unreadable) > MAX_NAMED else "")
        yield f"{format_count(len(report.unreadable), 'picture', 'pictures')} left out: {printable(named)}"
    if result.head is None:
        yield "without labels only the base is fitted: no label column, and no sub-folders"
    hint = f": {MIN_PICTURES} pictures would give axes of their own" if report.pictures < MIN_PICTURES else ""
    yield f"base: axes {result.base}{hint}" if result.base == SHIPPED_AXES else f"base: axes {result.base}"


def _table(title: str, comparison: FitComparison) -> Table:
    table = Table(
        "",
        "base",
        "head alone",
        "both",
        title=f"{title}, {comparison.queries} queries",
        title_justify="left",
        min_width=72,
    )
    for measure in MEASURES:
        table.add_row(
            measure, *(f"{means[measure]:.3f}" for means in (comparison.base, comparison.head, comparison.mix))
        )
    return table


def _advice(head: HeadReport) -> str:
    """A sentence on the chosen share, and on the gain for labels that the head was not trained on."""
    if head.share == 0:
        return "share of the head: 0, for it does not surely beat the base; the encoder is the base alone"
    choice = f"share of the head: {head.share}, best epoch {head.best_epoch} of {len(head.lessons)}"
    if head.unseen is None:
        return f"{choice}; too few labels to try what the head does for labels that it never saw"
    gain = head.unseen.mix["precision@1"] - head.unseen.base["precision@1"]
    return f"{choice}; precision@1 of labels that it never saw: {gain:+.3f}"
