"""Evaluation report: prints an evaluation result as tables."""

from collections.abc import Iterator, Mapping, Sequence

from rich.console import Console
from rich.table import Table

from consumers.quality.evaluation.bootstrap import Estimate
from consumers.quality.evaluation.claims_report import claim_lines, claim_tables
from consumers.quality.evaluation.colours import ColourAgreement
from consumers.quality.evaluation.estimate_table import estimate_table, format_difference, format_estimate
from consumers.quality.evaluation.quality_gate import GateCheck
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


def _lines(result: EvaluationResult) -> Iterator[str]:
    yield from claim_lines(result)
    if result.engine_recall:
        yield f"engine: {format_estimate(result.engine_recall)} of the exact top 10 are among its hits"


def print_gate(checks: Sequence[GateCheck], console: Console) -> None:
    """Print each calibration error beside its limit, and which ones exceed it."""
    for check in checks:
        console.print(check.describe(), markup=False, soft_wrap=True)
    exceeded = [check.measure for check in checks if check.is_exceeded]
    console.print(f"gate: failed ({', '.join(exceeded)})" if exceeded else "gate: passed", markup=False)


def print_comparison(comparison: Comparison, console: Console) -> None:
    """Print the difference of each measure, and which main measures are worse."""
    title = f"this run minus that of {comparison.other}, {format_count(comparison.queries, 'query', 'queries')}"
    table = estimate_table(printable(title), "measure", "difference", "")
    for name, difference in comparison.differences.items():
        table.add_row(
            name,
            format_difference(difference),
            _verdict(difference) + ("" if name in MAIN else " (not a main measure)"),
        )
    console.print(table)
    regressions = comparison.regressions
    console.print(f"regression: {', '.join(regressions)}" if regressions else "no regression of the main measures")


def _verdict(difference: Estimate) -> str:
    if difference.high < 0:
        return "worse"
    return "better" if difference.low > 0 else "within chance"


def _headline(result: EvaluationResult) -> str:
    counts = result.counts
    queries, pictures = (
        format_count(counts.queries, "query", "queries"), format_count(counts.catalogue, "picture", "pictures"),
    )  # fmt: skip
    line = f"{queries} among {pictures}, {result.through}, {result.encoder}; 95 % intervals in brackets"
    if result.protocol:
        line = f"{_protocol(result.protocol)}\n{line}"
    if counts.unanswerable:
        number = format_count(counts.unanswerable, "query", "queries")
        fate = "scored 0" if result.protocol else "left out"
        line += f"\n{number} {fate}: nothing in the catalogue is relevant"
    if counts.unreadable:
        number = format_count(len(counts.unreadable), "picture", "pictures")
        line += f"\n{number} cannot be read: {printable(_first_names(counts.unreadable))}"
    return line


def _protocol(result: ProtocolResult) -> str:
    name = printable(f"{result.dataset}, split {result.split}")
    line = f"{name}: {printable(result.rule)}\nofficial measure {result.measure}: {format_estimate(result.value)}"
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
    yield from claim_tables(result)
    if result.colours:
        yield _colours(result.colours)
    agreements = {f"another label and the same {column}": agreement for column, agreement in result.same.items()}
    if result.colour_hits:
        agreements["the same colour"] = result.colour_hits
    for description, agreement in agreements.items():
        yield _agreement(description, agreement)


def _scores(title: str, scores: Mapping[str, Score]) -> Table:
    """One row for each measure and one column for each weighting, since measures are many and weightings few."""
    table = estimate_table(f"by {title}", "measure", *scores)
    for measure in next(iter(scores.values())).metrics:
        table.add_row(measure, *(format_estimate(score.metrics[measure]) for score in scores.values()))
    return table


def _groups(name: str, groups: Mapping[str, Score]) -> Table:
    table = estimate_table(f"by {name}", name, "queries", *GROUPED)
    for group, score in groups.items():
        values = (format_estimate(score.metrics[measure]) for measure in GROUPED)
        table.add_row(printable(group), str(score.queries), *values)
    return table


def _filtered(scores: Mapping[str, FilteredScore]) -> Table:
    measures = list(next(iter(scores.values())).metrics)
    table = estimate_table(
        "searches filtered by values of the query", "filter", "queries", *measures, "hits that satisfy it"
    )
    for name, score in scores.items():
        satisfying = f"{score.satisfying} of {score.hits}"
        values = (format_estimate(score.metrics[measure]) for measure in measures)
        table.add_row(name, str(score.queries), *values, satisfying)
    return table


def _drops(robustness: Robustness) -> Table:
    title = f"loss by corruption (clean minus corrupted), {format_count(robustness.queries, 'query', 'queries')}"
    table = estimate_table(title, "corruption", *robustness.clean)
    table.add_row("clean", *map(format_estimate, robustness.clean.values()), end_section=True)
    for name, drops in robustness.drops.items():
        table.add_row(name, *(format_difference(drop) for drop in drops.values()))
    return table


def _colours(agreement: ColourAgreement) -> Table:
    unmapped = f"{agreement.unmapped} pictures whose colour has no name here"
    caption = f"first name minus k-means: {format_difference(agreement.gain)}; not counted: {unmapped}"
    table = estimate_table(
        "named colours that agree with those of the table", "colour", "pictures", *agreement.share, caption=caption
    )
    table.add_row("all", str(agreement.pictures), *map(format_estimate, agreement.share.values()), end_section=True)
    for colour, shares in agreement.by_colour.items():
        table.add_row(colour, f"{shares['pictures']:.0f}", *(f"{shares[name]:.2f}" for name in agreement.share))
    return table


def _agreement(description: str, agreement: Agreement) -> Table:
    title = f"hits with {printable(description)} as the query"
    table = estimate_table(title, "weighting", "share of the top 10", "difference to object alone")
    for name, share in agreement.share.items():
        table.add_row(name, format_estimate(share), format_difference(agreement.gain[name]))
    return table
