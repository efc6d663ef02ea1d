"""What a fit found out: lines and a table for people, and a document to keep."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from rich.console import Console
from rich.table import Table

from consumers.quality.fitting.fit import FitComparison, FitResult, HeadReport
from consumers.quality.fitting.whitening_base import FEWEST, SHIPPED
from infra.console import counted, printable

MEASURES = ("precision@1", "precision@10", "mAP@10", "recall@5")
"""What of all measures people are shown."""
NAMED = 3
"""How many unreadable pictures are named."""


@dataclass(frozen=True)
class FitReport:
    """What was fitted on, and what with; `unreadable` has the pictures left out, each with why."""

    backbone: str
    pictures: int
    studio: int
    unreadable: Sequence[str]
    seed: int

    def sentence(self, fitted: FitResult) -> str:
        """The kept note of what the tensors were fitted on."""
        labels = f", {fitted.head.labels} labels" if fitted.head else ", no labels"
        return f"{self.pictures} pictures, {self.studio} of them studio pictures{labels}"


def as_document(fitting: FitReport, fitted: FitResult) -> dict[str, object]:
    """All figures, for report.json."""
    date = datetime.now(UTC).isoformat(timespec="seconds")
    head = asdict(fitted.head) if fitted.head else None
    return {"date": date} | asdict(fitting) | {"base": fitted.base, "bases": fitted.bases, "head": head}


def show(fitting: FitReport, fitted: FitResult, console: Console) -> None:
    """Print what was fitted, what it is worth, and what it costs."""
    for line in _lines(fitting, fitted):
        console.print(line, markup=False, soft_wrap=True)
    if fitted.head is None:
        return
    console.print(_table("labels that the head saw, pictures held back", fitted.head.seen))
    if fitted.head.unseen is not None:
        title = f"{counted(fitted.head.unseen_labels, 'label', 'labels')} that a trial head never saw"
        console.print(_table(title, fitted.head.unseen))
    console.print(_advice(fitted.head), markup=False, soft_wrap=True)


def _lines(fitting: FitReport, fitted: FitResult) -> Iterator[str]:
    yield f"{fitting.backbone}, fitted on {fitting.sentence(fitted)}"
    if fitting.unreadable:
        some = "; ".join(fitting.unreadable[:NAMED]) + ("; ..." if len(fitting.unreadable) > NAMED else "")
        yield f"{counted(len(fitting.unreadable), 'picture', 'pictures')} left out: {printable(some)}"
    if fitted.head is None:
        yield "without labels only the base is fitted: no label column, and no sub-folders"
    few = f": {FEWEST} pictures would give axes of their own" if fitting.pictures < FEWEST else ""
    yield f"base: axes {fitted.base}{few}" if fitted.base == SHIPPED else f"base: axes {fitted.base}"


def _table(title: str, verdict: FitComparison) -> Table:
    table = Table(
        "",
        "base",
        "head alone",
        "both",
        title=f"{title}, {verdict.queries} queries",
        title_justify="left",
        min_width=72,
    )
    for measure in MEASURES:
        table.add_row(measure, *(f"{one[measure]:.3f}" for one in (verdict.base, verdict.head, verdict.mix)))
    return table


def _advice(story: HeadReport) -> str:
    """The share, and in words what the tables say about labels that come later."""
    if story.share == 0:
        return "share of the head: 0, for it does not surely beat the base; the encoder is the base alone"
    chosen = f"share of the head: {story.share}, best epoch {story.best_epoch} of {len(story.lessons)}"
    if story.unseen is None:
        return f"{chosen}; too few labels to try what the head does for labels that it never saw"
    gain = story.unseen.mix["precision@1"] - story.unseen.base["precision@1"]
    return f"{chosen}; precision@1 of labels that it never saw: {gain:+.3f}"
