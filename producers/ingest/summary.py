"""Ingest summary: the results of the rows of a feed, as a table for people."""

from collections.abc import Iterator

from rich.console import Console
from rich.table import Table
from rich.text import Text

from infra.console import printable
from producers.ingest.outcome_tracker import BLOCKED, KINDS, REJECTED, SUPERSEDED
from producers.ingest.publish import MAX_NAMED, IngestTally
from producers.ingest.reason_counts import MAX_PLACES, ReasonCounts

MAX_REASONS = 20
"""Reasons of one kind in the table, the most frequent ones."""

Row = tuple[str, int, str, str]
"""What has become of rows, how many they are, why, and where the first ones stand."""


def print_summary(tally: IngestTally, console: Console) -> None:
    """Print the counts in one line, and a table of outcomes and of reasons that were not named."""
    console.print(tally.line(), markup=False, soft_wrap=True)
    if tally.tracker or tally.skipped or tally.left_out.total or tally.bad > MAX_NAMED:
        print_table(list(_rows(tally)), console)


def print_table(rows: list[Row], console: Console) -> None:
    """Print a table of rows by their results; nothing if there are none."""
    if not rows:
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in ("what", "count", "why", "where"):
        table.add_column(title, justify="right" if title == "count" else "left", overflow="fold")
    for what, count, why, where in rows:
        table.add_row(*(Text(printable(cell)) for cell in (what, f"{count:,}", why, where)))
    console.print(table)


def reason_rows(what: str, reasons: ReasonCounts) -> Iterator[Row]:
    """A row for each reason; the least frequent ones are counted together."""
    kinds = list(reasons)
    for reason in kinds[:MAX_REASONS]:
        more = ", ..." if reason.count > MAX_PLACES else ""
        yield what, reason.count, reason.example, ", ".join(filter(None, reason.places)) + more
    if rest := kinds[MAX_REASONS:]:
        yield what, sum(reason.count for reason in rest), "for other reasons", ""


def problem_rows(tally: IngestTally) -> Iterator[Row]:
    """The rows that were not sent, and the facts that were left out, by reason."""
    yield from reason_rows("bad row", tally.bad_reasons)
    yield from reason_rows("skipped row", tally.skipped_reasons)
    yield from reason_rows("fact left out", tally.left_out)


def _rows(tally: IngestTally) -> Iterator[Row]:
    tracker = tally.tracker
    if tracker is not None:
        reasons = {BLOCKED: tracker.blocks, SUPERSEDED: tracker.superseded, REJECTED: tracker.rejections}
        for kind in KINDS:
            if kind in reasons:
                yield from reason_rows(kind, reasons[kind])
            elif tracker.counts[kind]:
                yield kind, tracker.counts[kind], "", ""
        if missing := tracker.sent - tracker.finished:
            yield "no outcome yet", missing, "", ""
        yield from reason_rows("picture left out", tracker.skipped_images)
    yield from problem_rows(tally)
