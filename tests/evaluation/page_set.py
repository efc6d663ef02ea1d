"""The figures of one set as Markdown, in detail."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from consumers.quality.evaluation.bootstrap import Estimate
from consumers.quality.evaluation.calibration_check import ITEM, CalibrationCheck
from consumers.quality.evaluation.claims_report import describe_coverage, reliability_rows
from consumers.quality.evaluation.reliability import Reliability
from consumers.quality.evaluation.results import EvaluationResult
from consumers.quality.evaluation.robustness import Robustness

MARK = "*"
"""Stands at the name of a set on which choices were made."""
RELIABILITY_COLUMNS = (
    "confidence", "count", "mean confidence", "accuracy", "share at least so", "accuracy of these",
)  # fmt: skip


@dataclass(frozen=True)
class SetResult:
    """The figures of a set, their gains over the plain average, and the choices that were made on its queries."""

    figures: EvaluationResult
    gains: Mapping[str, Estimate]
    choices: str = ""


def marked(name: str, result: SetResult) -> str:
    """The name of a set, with a mark if choices were made on it."""
    return f"{name}{MARK if result.choices else ''}"


def detail(figures: EvaluationResult) -> Iterator[str]:
    """Ranking, filters, reliability and corruptions of a set, line by line."""
    counts = figures.counts
    yield f"{counts.queries} queries among {counts.catalogue} pictures.\n"
    yield from _weightings(figures)
    if figures.filtered:
        yield "\nWithin the query's own category, or category and colour:\n"
        yield from _filtered(figures)
    for criterion, check in figures.calibration.items():
        yield from _calibration(criterion, check)
    if figures.coverage:
        yield f"\nC{describe_coverage(figures.coverage)[1:]}."
        if figures.coverage.scores:
            yield "\nReliability of `coverage`; correct: the query's category is there, as for half of them."
            yield from _reliability(figures.coverage.scores.calibration)
    if figures.robustness:
        yield f"\nCorrupted queries minus the same clean ones ({figures.robustness.queries} queries):\n"
        yield from _robustness(figures.robustness)


def _weightings(figures: EvaluationResult) -> Iterator[str]:
    scores = figures.weightings
    measures = next(iter(scores.values())).metrics
    rows = [(measure, *(text(one.metrics[measure]) for one in scores.values())) for measure in measures]
    yield from table(("measure", *scores), rows)


def _filtered(figures: EvaluationResult) -> Iterator[str]:
    measures = list(next(iter(figures.filtered.values())).metrics)
    rows = [
        (name, *(text(one.metrics[measure]) for measure in measures), f"{one.satisfying} of {one.hits}")
        for name, one in figures.filtered.items()
    ]
    yield from table(("filter", *measures, "hits that satisfy it"), rows)


def _calibration(criterion: str, check: CalibrationCheck) -> Iterator[str]:
    field = "same_item" if criterion == ITEM else "confidence"
    correct = "it is the query's item" if criterion == ITEM else f"it has the query's {criterion}"
    note = "" if check.is_claimed else " (answers state it for the category only)"
    yield f"\nReliability of `{field}` of first hits; correct: {correct}{note}."
    yield from _reliability(check.first)
    if check.all is not None:
        yield f"\nThe same of all hits: ECE {text(check.all.ece)}, Brier score {text(check.all.brier)}."


def _reliability(reliability: Reliability) -> Iterator[str]:
    yield f"ECE {text(reliability.ece)}, Brier score {text(reliability.brier)}.\n"
    yield from table(RELIABILITY_COLUMNS, list(reliability_rows(reliability)))


def _robustness(found: Robustness) -> Iterator[str]:
    clean = ("(clean)", *map(text, found.clean.values()))
    rows = [(name, *(difference(negative(lost)) for lost in drops.values())) for name, drops in found.drops.items()]
    yield from table(("corruption", *found.clean), [clean, *rows])


def negative(value: Estimate) -> Estimate:
    """The estimate of the opposite: a loss as a change."""
    return Estimate(0 - value.value, 0 - value.high, 0 - value.low)


def text(value: Estimate) -> str:
    """An estimate and its interval."""
    return f"{value.value:.3f} [{value.low:.3f}, {value.high:.3f}]"


def difference(value: Estimate) -> str:
    """An estimate of a difference and its interval, with signs."""
    return f"{value.value:+.3f} [{value.low:+.3f}, {value.high:+.3f}]"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """A table of Markdown, line by line."""
    yield f"| {' | '.join(head)} |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield f"| {' | '.join(row)} |"
