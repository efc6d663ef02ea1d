"""Claims report: prints how reliable confidences, coverage, `no_match` and predicted categories are."""

from collections.abc import Iterator, Sequence

from rich.table import Table

from consumers.quality.evaluation.calibration_check import ITEM, CalibrationCheck
from consumers.quality.evaluation.claim_checks import CategoryCheck, OffTopicCheck, StrictCheck
from consumers.quality.evaluation.coverage_check import CoverageCheck, CoverageScores
from consumers.quality.evaluation.estimate_table import estimate_table, format_estimate
from consumers.quality.evaluation.reliability import Reliability
from consumers.quality.evaluation.results import EvaluationResult
from schemas.results import LOW_COVERAGE


def claim_tables(result: EvaluationResult) -> Iterator[Table]:
    """A reliability table for each confidence."""
    for criterion, check in result.calibration.items():
        yield from _calibration(criterion, check)
    if result.coverage and result.coverage.scores:
        title = "reliability of `coverage`, correct = the catalogue has the query's category"
        yield reliability_table(title, result.coverage.scores.calibration)


def _calibration(criterion: str, check: CalibrationCheck) -> Iterator[Table]:
    field = "same_item" if criterion == ITEM else "confidence"
    correct = "the hit is the query's item" if criterion == ITEM else f"the hit has the query's {criterion}"
    note = "" if check.is_claimed else " (answers state it for the category only)"
    yield reliability_table(f"reliability of `{field}` of first hits, correct = {correct}{note}", check.first)
    if check.all is not None:
        yield reliability_table(f"reliability of `{field}` of all hits, correct = {correct}{note}", check.all)


def reliability_table(title: str, reliability: Reliability) -> Table:
    """One row for each bin of confidences."""
    errors = f"ECE {format_estimate(reliability.ece)}, Brier score {format_estimate(reliability.brier)}"
    columns = ("confidence", "count", "mean confidence", "accuracy", "share at least so", "accuracy of these")
    table = estimate_table(title, *columns, caption=errors)
    for row in reliability_rows(reliability):
        table.add_row(*row)
    return table


def reliability_rows(reliability: Reliability) -> Iterator[Sequence[str]]:
    """The cells of each bin: its bounds, count, mean confidence and accuracy, and those of this and higher bins."""
    for bin_, cut in zip(reliability.bins, reliability.threshold_cuts(), strict=True):
        bounds = f"{bin_.low:.1f} to {bin_.high:.1f}"
        yield (
            bounds, str(bin_.count), f"{bin_.confidence:.2f}", format_estimate(bin_.accuracy),
            f"{cut.left:.3f}", f"{cut.right:.3f}",
        )  # fmt: skip


def claim_lines(result: EvaluationResult) -> Iterator[str]:
    """One line for each other claim that was checked."""
    if result.coverage:
        yield describe_coverage(result.coverage)
    if result.strict:
        yield _strict(result.strict)
    if result.off_topic:
        yield _off_topic(result.off_topic)
    if result.categories:
        yield _categories(result.categories)


def describe_coverage(check: CoverageCheck) -> str:
    """How well coverage recognises queries whose category is absent, in one line."""
    if check.scores is None:
        return f"coverage: unknown for all {check.queries} queries, so none is flagged"
    unknown = f"; unknown for {check.unknown}" if check.unknown else ""
    return f"coverage of {check.queries} queries below {LOW_COVERAGE:g}: {_scores(check.scores)}{unknown}"


def _scores(scores: CoverageScores) -> str:
    return (
        f"{format_estimate(scores.flagged_absent)} if the catalogue does not have their category, "
        f"{format_estimate(scores.flagged_present)} if it has it; ROC AUC {format_estimate(scores.auc)}, "
        f"{format_estimate(scores.recall_at_tenth)} of the first at a tenth of the others"
    )


def _strict(check: StrictCheck) -> str:
    correct = ""
    if check.first and check.precision:
        correct = (
            f"; correct among the hits that are left: first hits {format_estimate(check.first)}, "
            f"all hits {format_estimate(check.precision)}"
        )
    return f"strict: {format_estimate(check.answer_rate)} of the queries have hits{correct}"


def _off_topic(check: OffTopicCheck) -> str:
    return (
        f"off topic: the answer to {format_estimate(check.rejection_rate)} of {check.queries} pictures is no_match"
    )


def _categories(check: CategoryCheck) -> str:
    correct = f"; {format_estimate(check.accuracy)} of them are correct" if check.accuracy else ""
    of_searches = (
        f"; the likeliest category of a search is correct for {format_estimate(check.search_accuracy)}"
        if check.search_accuracy
        else ""
    )
    predicted = f"{format_estimate(check.prediction_rate)} of {check.items} items without one"
    return f"categories: predicted for {predicted}{correct}{of_searches}"
