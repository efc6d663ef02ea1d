"""The table at the end of a command that sends items."""

import io
import re

from rich.console import Console

from producers.feed_item import FeedItem
from producers.ingest.outcome_tracker import KINDS, REJECTED, OutcomeTracker
from producers.ingest.publish import MAX_NAMED, IngestTally
from producers.ingest.summary import MAX_REASONS, print_summary
from producers.row_reader import BadRow, SkippedRow
from schemas.items import ItemDeleted
from tests.producers.ingest.test_outcome_tracker import outcome

ITEM = ItemDeleted(item_id="a", revision=1)


def summary_of(tally: IngestTally) -> str:
    out = io.StringIO()
    print_summary(tally, Console(file=out, width=160))
    return out.getvalue()


def test_one_line_says_it_all_when_all_is_well() -> None:
    assert summary_of(IngestTally(sent=250)).count("\n") == 1


def test_bad_rows_that_were_named_are_not_named_again() -> None:
    tally = IngestTally(sent=1)
    for n in range(MAX_NAMED):
        tally.count_bad(BadRow(n + 2, "column `id` is empty"))
    assert summary_of(tally).count("\n") == 1
    tally.count_bad(BadRow(99, "column `id` is empty"))
    assert f"{MAX_NAMED + 1}  column `id` is empty" in summary_of(tally)


def test_skipped_rows_and_facts_that_were_left_out_are_counted_by_reason() -> None:
    tally = IngestTally()
    for n in range(12):
        tally.count_skipped(SkippedRow(n + 1, "a post without a picture" if n else "an activity of type Like"))
        tally.count_sent(FeedItem(ITEM, n + 1, (f"price: `{n} x` is left out",)))
    found = summary_of(tally)
    assert re.search("skipped row +11  a post without a picture", found)
    assert re.search("skipped row +1  an activity of type Like", found)
    assert re.search("fact left out +12  price: `0 x` is left out", found)
    assert "line 1, line 2, line 3, line 4, line 5, ..." in found


def test_outcomes_are_counted_by_kind_with_the_reasons_of_rejections() -> None:
    tracker = OutcomeTracker()
    for n, kind in enumerate((*KINDS, REJECTED)):
        tracker.record(outcome(kind, tracker.add(f"i{n}", n + 2)))
    tracker.add("late", 99)
    found = summary_of(IngestTally(sent=9, tracker=tracker))
    for kind in KINDS:
        assert kind in found
    assert "image_missing: there is no picture `a.png`" in found
    assert "line 8, line 9" in found
    assert "no outcome yet" in found


def test_the_rarest_of_many_reasons_are_counted_together() -> None:
    tally = IngestTally()
    for n in range(MAX_REASONS + 5):
        tally.count_skipped(SkippedRow(n, "an activity of type " + "x" * (n + 1)))
    assert "5  for other reasons" in summary_of(tally)


def test_a_feed_cannot_control_the_terminal() -> None:
    tally = IngestTally()
    tally.count_skipped(SkippedRow(1, "a post [red]of type\x1b[2J"))
    found = summary_of(tally)
    assert "[red]of type" in found
    assert "\x1b" not in found
