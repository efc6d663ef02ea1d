"""Evaluation report: prints an evaluation result as tables."""

from collections.abc import Iterator, Mapping, Sequence

from rich.console import Console
from rich.table import Table

from consumers.quality.evaluation.bootstrap import Estimate
from consumers.quality.evaluation.claim_checks import CalibrationCheck, CategoryCheck, OffTopicCheck, StrictCheck
from consumers.quality.evaluation.colours import ColourAgreement
from consumers.quality.evaluation.ranking_metrics import MAIN
from consumers.quality.evaluation.regression import Comparison
from consumers.quality.evaluation.results import EvaluationResult, ProtocolResult
from consumers.quality.evaluation.retrieval_scores import Agreement, FilteredScore, Score
from consumers.quality.evaluation.robustness import Robustness
from infra.console import format_count, printable

GROUPED = ("recall@1", "precision@10", "mAP@10")
"""The measures in the tables by category and by colour."""
MAX_NAMED = 3
"""The number of unreadable pictures that are named."""


def print_result(result: EvaluationResult, console: Console) -> None:
    """Print everything that was measured."""
    console.print(_headline(result), markup=False, soft_wrap=True)
    for table in _tables(result):
        console.print(table)
    for line in _lines(result):
        console.print(line, markup=False, soft_wrap=True)


def print_comparison(comparison: Comparison, console: Console) -> None:
    """Print the difference of each measure, and which main measures are worse."""
    title = f"this run less {comparison.other}, {format_count(comparison.queries, 'query', 'queries')}"
    table = _table(printable(title), "measure", "difference", "")
    for name, difference in comparison.differences.items():
        table.add_row(
            name, _signed(difference), _verdict(difference) + ("" if name in MAIN else " (not a main one)")
        )
    console.print(table)
    regressions = comparison.regressions
    console.print(f"regression: {', '.join(regressions)}" if regressions else "no regression of the main measures")


def _verdict(difference: Estimate) -> str:
    if difference.high < 0:
        return "worse"
    return "better" if difference.low > 0 else "no sure difference"


def _headline(result: EvaluationResult) -> str:
    counts = result.counts
    queries, pictures = (
        format_count(counts.queries, "query", "queries"), format_count(counts.catalogue, "picture", "pictures"),
    )  # fmt: skip
    line = f"{queries} among {pictures}, {result.through}, {result.encoder}; 95 % intervals in brackets"
    if result.protocol:
        line = f"{_protocol(result.protocol)}\n{line}"
    if counts.unanswerable:
        number, fate = (
            format_count(counts.unanswerable, "query", "queries"),
            "scored 0" if result.protocol else "left out",
        )
        line += f"\n{number} {fate}: nothing in the catalogue is relevant"
    if counts.unreadable:
        number = format_count(len(counts.unreadable), "picture", "pictures")
        line += f"\n{number} cannot be read: {printable(_first_names(counts.unreadable))}"
    return line


def _protocol(result: ProtocolResult) -> str:
    name = printable(f"{result.dataset}, split {result.split}")
    line = f"{name}: {printable(result.rule)}\nofficial measure {result.measure}: {_value(result.value)}"
    if result.skipped:
        reasons = [f"{name} ({reason})" for name, reason in result.skipped.items()]
        entries = format_count(len(reasons), "entry", "entries")
        line += f"\n{entries} of the set cannot be used: {printable(_first_names(reasons))}"
    return line


def _first_names(names: Sequence[str]) -> str:
    return ", ".join(names[:MAX_NAMED]) + (", ..." if len(names) > MAX_NAMED else "")


def _tables(result: EvaluationResult) -> Iterator[Table]:
    yield _scores("weighting", result.weightings)
    for name, groups in (("category", result.by_category), ("colour", result.by_colour)):
        if groups:
            yield _groups(name, groups)
    if result.filtered:
        yield _filtered(result.filtered)
    if result.robustness:
        yield _drops(result.robustness)
    for criterion, check in result.calibration.items():
        yield _reliability(criterion, check)
    if result.colours:
        yield _colours(result.colours)
    agreements = {f"the same {column} elsewhere": agreement for column, agreement in result.same.items()}
    if result.colour_hits:
        agreements["the same colour"] = result.colour_hits
    for description, agreement in agreements.items():
        yield _agreement(description, agreement)


def _scores(title: str, scores: Mapping[str, Score]) -> Table:
    """One row for each measure and one column for each weighting, since measures are many and weightings few."""
    table = _table(f"by {title}", "measure", *scores)
    for measure in next(iter(scores.values())).metrics:
        table.add_row(measure, *(_value(score.metrics[measure]) for score in scores.values()))
    return table


def _groups(name: str, groups: Mapping[str, Score]) -> Table:
    table = _table(f"by {name}", name, "queries", *GROUPED)
    for group, score in groups.items():
        values = (_value(score.metrics[measure]) for measure in GROUPED)
        table.add_row(printable(group), str(score.queries), *values)
    return table


def _filtered(scores: Mapping[str, FilteredScore]) -> Table:
    measures = list(next(iter(scores.values())).metrics)
    table = _table("filtered by the query's own", "filter", "queries", *measures, "hits that satisfy it")
    for name, score in scores.items():
        satisfying = f"{score.satisfying} of {score.hits}"
        values = (_value(score.metrics[measure]) for measure in measures)
        table.add_row(name, str(score.queries), *values, satisfying)
    return table


def _drops(robustness: Robustness) -> Table:
    title = f"what corruption takes away, {format_count(robustness.queries, 'query', 'queries')}"
    table = _table(title, "corruption", *robustness.clean)
    table.add_row("(clean)", *map(_value, robustness.clean.values()), end_section=True)
    for name, drops in robustness.drops.items():
        table.add_row(name, *(_signed(drop) for drop in drops.values()))
    return table


def _reliability(criterion: str, check: CalibrationCheck) -> Table:
    title = f"confidence of first hits, right = same {criterion}"
    first, every = (
        f"ECE {reliability.ece:.3f}, Brier {reliability.brier:.3f}" for reliability in (check.top, check.all)
    )
    errors = f"{first}; of all hits {every}"
    table = _table(title, "confidence", "hits", "expected", "observed", "so sure or surer", "right", caption=errors)
    for bin_, cut in zip(check.top.bins, check.top.threshold_cuts(), strict=True):
        cells = (
            f"{bin_.low:.1f} to {bin_.high:.1f}", str(bin_.count), f"{bin_.expected:.2f}", f"{bin_.observed:.2f}",
        )  # fmt: skip
        table.add_row(*cells, f"{cut.left:.3f}", f"{cut.right:.3f}")
    return table


def _colours(agreement: ColourAgreement) -> Table:
    caption = f"first over k-means: {_signed(agreement.gain)}; {agreement.unmapped} pictures have no colour of ours"
    table = _table("named colours agree with the table's", "colour", "pictures", *agreement.share, caption=caption)
    table.add_row("(all)", str(agreement.pictures), *map(_value, agreement.share.values()), end_section=True)
    for colour, shares in agreement.by_colour.items():
        table.add_row(colour, f"{shares['pictures']:.0f}", *(f"{shares[name]:.2f}" for name in agreement.share))
    return table


def _agreement(description: str, agreement: Agreement) -> Table:
    title = f"hits have {printable(description)}"
    table = _table(title, "weighting", "share of the top 10", "gain over object alone")
    for name, share in agreement.share.items():
        table.add_row(name, _value(share), _signed(agreement.gain[name]))
    return table


def _lines(result: EvaluationResult) -> Iterator[str]:
    if result.strict:
        yield _strict(result.strict)
    if result.off_topic:
        yield _off_topic(result.off_topic)
    if result.categories:
        yield _categories(result.categories)
    if result.engine_recall:
        yield f"engine: {_value(result.engine_recall)} of the exact top 10 are in its answers"


def _strict(check: StrictCheck) -> str:
    correct = ""
    if check.first and check.precision:
        correct = (
            f"; right among what is kept: first hits {_value(check.first)}, all hits {_value(check.precision)}"
        )
    return f"strict: {_value(check.kept)} of the queries keep an answer{correct}"


def _off_topic(check: OffTopicCheck) -> str:
    return f"off topic: {_value(check.rejected)} of {check.queries} pictures are answered no_match"


def _categories(check: CategoryCheck) -> str:
    correct = f"; right {_value(check.right)}" if check.right else ""
    first = f"; likeliest category of a search is right {_value(check.first)}" if check.first else ""
    return f"category written for {_value(check.written)} of {check.items} items without one{correct}{first}"


def _value(estimate: Estimate) -> str:
    return f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]".replace("0.", ".")


def _signed(estimate: Estimate) -> str:
    return f"{estimate.value:+.3f} [{estimate.low:+.3f}, {estimate.high:+.3f}]".replace("0.", ".")


def _table(title: str, *columns: str, caption: str | None = None) -> Table:
    """A table whose first column, the names, does not wrap; in the other columns, intervals may."""
    table = Table(title=title, caption=caption)
    for n, column in enumerate(columns):
        table.add_column(column, no_wrap=n == 0, overflow="fold")
    return table
