"""The figures as tables for people."""

from collections.abc import Iterator, Mapping

from rich.console import Console
from rich.table import Table

from consumers.quality.evaluation.bootstrap import Estimate
from consumers.quality.evaluation.claim_checks import CalibrationCheck, CategoryCheck, OffTopicCheck, StrictCheck
from consumers.quality.evaluation.colours import ColourAgreement
from consumers.quality.evaluation.ranking_metrics import MAIN
from consumers.quality.evaluation.regression import Comparison
from consumers.quality.evaluation.results import EvaluationResult
from consumers.quality.evaluation.retrieval_scores import Agreement, FilteredScore, Score
from consumers.quality.evaluation.robustness import Robustness
from infra.console import counted, printable

GROUPED = ("recall@1", "precision@10", "mAP@10")
"""The measures that are shown of each category and colour."""
NAMED = 3
"""How many unusable pictures are named."""


def show(figures: EvaluationResult, console: Console) -> None:
    """Print all that was measured."""
    console.print(_headline(figures), markup=False, soft_wrap=True)
    for table in _tables(figures):
        console.print(table)
    for line in _lines(figures):
        console.print(line, markup=False, soft_wrap=True)


def show_comparison(comparison: Comparison, console: Console) -> None:
    """Print what became better or worse."""
    title = f"this run less {comparison.other}, {counted(comparison.queries, 'query', 'queries')}"
    table = _table(printable(title), "measure", "difference", "")
    for name, difference in comparison.differences.items():
        table.add_row(
            name, _signed(difference), _verdict(difference) + ("" if name in MAIN else " (not a main one)")
        )
    console.print(table)
    worse = comparison.regressions
    console.print(f"regression: {', '.join(worse)}" if worse else "no regression of the main measures")


def _verdict(difference: Estimate) -> str:
    if difference.high < 0:
        return "worse"
    return "better" if difference.low > 0 else "no sure difference"


def _headline(figures: EvaluationResult) -> str:
    counts = figures.counts
    asked, held = counted(counts.queries, "query", "queries"), counted(counts.catalogue, "picture", "pictures")
    line = f"{asked} among {held}, {figures.through}, {figures.encoder}; 95 % intervals in brackets"
    if counts.unanswerable:
        line += f"\n{counts.unanswerable} queries left out: the catalogue has nothing of their label"
    if counts.unreadable:
        some = ", ".join(counts.unreadable[:NAMED]) + (", ..." if len(counts.unreadable) > NAMED else "")
        line += f"\n{counted(len(counts.unreadable), 'picture', 'pictures')} cannot be read: {printable(some)}"
    return line


def _tables(figures: EvaluationResult) -> Iterator[Table]:
    yield _scores("weighting", figures.weightings)
    for name, groups in (("category", figures.by_category), ("colour", figures.by_colour)):
        if groups:
            yield _groups(name, groups)
    if figures.filtered:
        yield _filtered(figures.filtered)
    if figures.robustness:
        yield _drops(figures.robustness)
    for judge, one in figures.calibration.items():
        yield _reliability(judge, one)
    if figures.colours:
        yield _colours(figures.colours)
    agreements = {f"the same {name} elsewhere": one for name, one in figures.same.items()}
    if figures.colour_hits:
        agreements["the same colour"] = figures.colour_hits
    for what, agreement in agreements.items():
        yield _agreement(what, agreement)


def _scores(title: str, scores: Mapping[str, Score]) -> Table:
    """Turned, for there are many measures and few weightings."""
    table = _table(f"by {title}", "measure", *scores)
    for measure in next(iter(scores.values())).metrics:
        table.add_row(measure, *(_plain(one.metrics[measure]) for one in scores.values()))
    return table


def _groups(name: str, groups: Mapping[str, Score]) -> Table:
    table = _table(f"by {name}", name, "queries", *GROUPED)
    for group, one in groups.items():
        table.add_row(printable(group), str(one.queries), *(_plain(one.metrics[measure]) for measure in GROUPED))
    return table


def _filtered(scores: Mapping[str, FilteredScore]) -> Table:
    measures = list(next(iter(scores.values())).metrics)
    table = _table("filtered by the query's own", "filter", "queries", *measures, "hits that satisfy it")
    for name, one in scores.items():
        held = f"{one.satisfying} of {one.hits}"
        table.add_row(name, str(one.queries), *(_plain(one.metrics[measure]) for measure in measures), held)
    return table


def _drops(found: Robustness) -> Table:
    title = f"what corruption takes away, {counted(found.queries, 'query', 'queries')}"
    table = _table(title, "corruption", *found.clean)
    table.add_row("(clean)", *map(_plain, found.clean.values()), end_section=True)
    for name, drops in found.drops.items():
        table.add_row(name, *(_signed(one) for one in drops.values()))
    return table


def _reliability(judge: str, found: CalibrationCheck) -> Table:
    title = f"confidence of first hits, right = same {judge}"
    first, every = (f"ECE {one.ece:.3f}, Brier {one.brier:.3f}" for one in (found.top, found.all))
    errors = f"{first}; of all hits {every}"
    table = _table(title, "confidence", "hits", "expected", "observed", "so sure or surer", "right", caption=errors)
    for one, sure in zip(found.top.bins, found.top.sure(), strict=True):
        claims = f"{one.low:.1f} to {one.high:.1f}", str(one.count), f"{one.expected:.2f}", f"{one.observed:.2f}"
        table.add_row(*claims, f"{sure.left:.3f}", f"{sure.right:.3f}")
    return table


def _colours(found: ColourAgreement) -> Table:
    caption = f"first over k-means: {_signed(found.gain)}; {found.unmapped} pictures have no colour of ours"
    table = _table("named colours agree with the table's", "colour", "pictures", *found.share, caption=caption)
    table.add_row("(all)", str(found.pictures), *map(_plain, found.share.values()), end_section=True)
    for word, shares in found.by_colour.items():
        table.add_row(word, f"{shares['pictures']:.0f}", *(f"{shares[name]:.2f}" for name in found.share))
    return table


def _agreement(what: str, found: Agreement) -> Table:
    title = f"hits have {printable(what)}"
    table = _table(title, "weighting", "share of the top 10", "gain over object alone")
    for name, one in found.share.items():
        table.add_row(name, _plain(one), _signed(found.gain[name]))
    return table


def _lines(figures: EvaluationResult) -> Iterator[str]:
    if figures.strict:
        yield _strict(figures.strict)
    if figures.off_topic:
        yield _off_topic(figures.off_topic)
    if figures.categories:
        yield _categories(figures.categories)
    if figures.engine_recall:
        yield f"engine: {_plain(figures.engine_recall)} of the exact top 10 are in its answers"


def _strict(found: StrictCheck) -> str:
    right = ""
    if found.first and found.precision:
        right = f"; right among what is kept: first hits {_plain(found.first)}, all hits {_plain(found.precision)}"
    return f"strict: {_plain(found.kept)} of the queries keep an answer{right}"


def _off_topic(found: OffTopicCheck) -> str:
    return f"off topic: {_plain(found.rejected)} of {found.queries} pictures are answered no_match"


def _categories(found: CategoryCheck) -> str:
    said = f"; right {_plain(found.right)}" if found.right else ""
    first = f"; likeliest category of a search is right {_plain(found.first)}" if found.first else ""
    return f"category written for {_plain(found.written)} of {found.items} items without one{said}{first}"


def _plain(one: Estimate) -> str:
    return f"{one.value:.3f} [{one.low:.3f}, {one.high:.3f}]".replace("0.", ".")


def _signed(one: Estimate) -> str:
    return f"{one.value:+.3f} [{one.low:+.3f}, {one.high:+.3f}]".replace("0.", ".")


def _table(title: str, *columns: str, caption: str | None = None) -> Table:
    """A table whose first column names things, whole; intervals may go onto a line of their own."""
    table = Table(title=title, caption=caption)
    for n, column in enumerate(columns):
        table.add_column(column, no_wrap=n == 0, overflow="fold")
    return table
