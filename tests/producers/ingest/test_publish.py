"""The publication of a feed's rows, and its output on a terminal."""

import io
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from infra.config.kafka import KafkaSettings
from infra.kafka import EventSink
from producers.feed_item import FeedItem
from producers.ingest.outcome_tracker import OutcomeTracker
from producers.ingest.publish import MAX_NAMED, IngestTally, Publishable, deletions, display_tally, publish_one
from producers.ingest.report import IngestReport
from producers.row_reader import BadRow, SkippedRow
from schemas.items import InlineImage, ItemDeleted, ItemFacts, ItemPatched, ItemUpserted

PATIENCE_SECONDS = 10
SMALL = ItemUpserted(item_id="small", revision=1, images=(InlineImage(data=b"x"),))
LARGE = ItemUpserted(item_id="large", revision=1, images=(InlineImage(data=b"x" * 200_000),))
PATCH = ItemPatched(item_id="patched", revision=1, facts=ItemFacts(title="x"))


def printed(*, terminal: bool) -> str:
    out = io.StringIO()
    with display_tally(Console(file=out, force_terminal=terminal, width=100)) as show:
        until = time.monotonic() + (PATIENCE_SECONDS if terminal else 0.5)
        while "sent 3 events" not in out.getvalue() and time.monotonic() < until:
            show(IngestTally(sent=3))
            time.sleep(0.02)
    return out.getvalue()


def test_a_tally_is_shown_as_it_grows_on_a_terminal_and_nowhere_else() -> None:
    assert "sent 3 events" in printed(terminal=True)
    assert printed(terminal=False).strip() == ""


@pytest.fixture
def sink() -> Iterator[EventSink]:
    """A sink without a broker: events stay in its queue."""
    opened = EventSink(KafkaSettings(bootstrap="127.0.0.1:1", record_bytes=100_000))
    yield opened
    opened.drop()


def tally_of(sink: EventSink, *rows: Publishable, tally: IngestTally | None = None) -> IngestTally:
    tally = IngestTally() if tally is None else tally
    for row in rows:
        publish_one(row, sink, tally)
    return tally


def test_rows_are_counted_by_what_they_are(sink: EventSink) -> None:
    tally = tally_of(
        sink,
        SMALL,
        PATCH,
        FeedItem(ItemDeleted(item_id="gone", revision=2), 4),
        FeedItem(SMALL, 5, ("price: `x` is left out: it is no number", "title: it was cut")),
        BadRow(6, "column `id` is empty"),
        SkippedRow(7, "a post without a picture"),
    )
    assert (tally.sent, tally.bad, tally.skipped, tally.left_out.total) == (4, 1, 1, 2)
    assert tally.line().endswith("1 bad row, 1 row skipped, 2 facts left out")
    assert [reason.places for reason in tally.left_out] == [["line 5"], ["line 5"]]


def test_an_event_that_is_too_large_for_a_record_is_a_bad_row_and_the_others_are_sent(sink: EventSink) -> None:
    tally = tally_of(sink, FeedItem(LARGE, 7), LARGE, SMALL, tally=IngestTally(tracker=OutcomeTracker()))
    assert (tally.sent, tally.bad) == (1, 2)
    assert tally.tracker is not None
    assert [line.item_id for line in tally.tracker.unfinished()] == ["small"]
    assert sorted(place for reason in tally.bad_reasons for place in reason.places) == ["large", "line 7"]


def test_each_row_is_in_the_report_with_what_is_known_of_it(sink: EventSink, tmp_path: Path) -> None:
    path = tmp_path / "report.jsonl"
    report = IngestReport(path)
    rows: tuple[Publishable, ...] = (
        FeedItem(SMALL, 2, ("price: `x` is left out",)),
        BadRow(3, "no"),
        SkippedRow(4, "none"),
        FeedItem(LARGE, 5),
    )
    tally_of(sink, *rows, tally=IngestTally(report=report))
    report.close()
    entries = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(entry["line"], entry["outcome"]) for entry in entries] == [
        (2, "left_out"),
        (2, "sent"),
        (3, "bad"),
        (4, "skipped"),
        (5, "bad"),
    ]


def test_with_a_tracker_the_report_waits_for_the_outcomes(sink: EventSink, tmp_path: Path) -> None:
    path = tmp_path / "report.jsonl"
    report = IngestReport(path)
    tally = IngestTally(report=report, tracker=OutcomeTracker(report.write))
    tally_of(sink, FeedItem(SMALL, 2), BadRow(3, "no"), tally=tally)
    report.close()
    assert [json.loads(line)["outcome"] for line in path.read_text().splitlines()] == ["bad"]


def test_the_first_problems_of_a_kind_are_named_and_all_are_counted(sink: EventSink) -> None:
    named: list[str] = []
    rows = [BadRow(n, f"there is no picture file `{n}.png`") for n in range(1, 40)]
    tally = tally_of(sink, *rows, BadRow(50, "column `id` is empty"), tally=IngestTally(name_problem=named.append))
    assert tally.bad == 40
    assert named[0] == "line 1: there is no picture file `1.png`"
    assert named[-1] == "line 50: column `id` is empty"
    assert len(named) == MAX_NAMED + 2
    assert "--report" in named[MAX_NAMED]


def test_rows_without_a_line_are_counted_by_what_follows_their_name() -> None:
    tally = IngestTally()
    for name in ("a.png", "b/c.png"):
        tally.count_bad(BadRow(0, f"{name}: the picture is an empty file"))
    [reason] = tally.bad_reasons
    assert (reason.example, reason.count, reason.places) == (
        "the picture is an empty file",
        2,
        ["a.png", "b/c.png"],
    )


def test_deletions_may_have_a_revision_of_their_own() -> None:
    assert [event.revision for event in deletions(["a", "b"], "shop", "catalog", 3)] == [3, 3]
    first, second = deletions(["a", "b"], "shop", "catalog")
    assert 10**15 < first.revision < second.revision
