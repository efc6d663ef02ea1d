"""Fit report: prints the result of a fit as lines and tables, and builds the document for report.json."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from rich.console import Console
from rich.table import Table

from consumers.quality.fitting.fit import FitComparison, FitResult, HeadReport
from consumers.quality.fitting.whitening_base import MIN_PICTURES
from infra.console import format_count, printable

MEASURES = ("precision@1", "precision@10", "mAP@10", "recall@5")
"""The measures that the tables show, of all that are computed."""
MAX_NAMED = 3
"""The number of unreadable pictures that are named."""
MAX_CONFUSIONS = 5
"""The number of confused pairs of labels that are printed; report.json has all."""


@dataclass(frozen=True)
class FitReport:
    """The data and the seed of a fit; `unreadable` lists the skipped pictures, each with the reason.

    `confusions` are as Confusion.describe gives them, most frequent first.
    """

    backbone: str
    pictures: int
    studio: int
    unreadable: Sequence[str]
    seed: int
    confusions: Sequence[Mapping[str, object]] = ()

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
    console.print(_table("held-out pictures of labels that the head was trained on", result.head.seen))
    if result.head.unseen is not None:
        labels = format_count(result.head.unseen_labels, "label", "labels")
        title = f"{labels} that a trial head was not trained on"
        console.print(_table(title, result.head.unseen))
    for line in (*_advice(result.head), *_confusions(report)):
        console.print(line, markup=False, soft_wrap=True)


def _lines(report: FitReport, result: FitResult) -> Iterator[str]:
    yield f"{report.backbone}, fitted on {report.describe_data(result)}"
    if report.unreadable:
        named = "; ".join(report.unreadable[:MAX_NAMED]) + ("; ..." if len(report.unreadable) > MAX_NAMED else "")
        yield f"{format_count(len(report.unreadable), 'picture', 'pictures')} left out: {printable(named)}"
    if result.head is None:
        yield "without labels only the base is fitted: no label column, and no sub-folders"
    needs_more = result.head is None and report.pictures < MIN_PICTURES
    hint = f": {MIN_PICTURES} pictures would give axes of their own" if needs_more else ""
    yield f"base: axes {result.base}{hint}"


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


def _advice(head: HeadReport) -> Iterator[str]:
    """Sentences on the chosen share, on labels that the head was not trained on, and on other pictures."""
    if head.share == 0:
        yield "share of the head: 0, because it is not surely better than the base: the encoder is the base alone"
        return
    choice = f"share of the head: {head.share}, best epoch {head.best_epoch} of {len(head.lessons)}"
    if head.unseen is None:
        yield f"{choice}; there are too few labels to measure the head on labels that it was not trained on"
    else:
        gain = head.unseen.mix["precision@1"] - head.unseen.base["precision@1"]
        yield f"{choice}; precision@1 of labels that it was not trained on: {gain:+.3f}"
    yield "pictures that are like none of these labels are compared by the base alone"
    yield f"confidences where many neighbours agree: times {head.reliability:.2f}, for the head has learned them"


def _confusions(report: FitReport) -> Iterator[str]:
    if report.confusions:
        yield "most confused, of the held-out pictures (confusions.png shows examples):"
    for pair in report.confusions[:MAX_CONFUSIONS]:
        label, other = printable(str(pair["label"])), printable(str(pair["other"]))
        yield f"  {pair['count']} of {pair['queries']} {label} find {other} first"
