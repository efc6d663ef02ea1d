"""The events of a run and their outcomes."""

import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from producers.ingest.outcome_tracker import (
    BLOCKED,
    FACTS,
    KINDS,
    NEW,
    REJECTED,
    REMOVED,
    SUPERSEDED,
    UNCHANGED,
    OutcomeTracker,
)
from producers.ingest.report import ReportLine
from schemas.failures import Code
from schemas.outcomes import (
    ItemBlocked,
    ItemIndexed,
    ItemOutcome,
    ItemRejected,
    ItemRemoved,
    ItemSuperseded,
    SkippedImage,
)


def outcome(kind: str, event_id: str) -> ItemOutcome:
    """An outcome of this kind."""
    common = {"event_id": event_id, "tenant": "default", "item_id": "x", "source": "catalog", "revision": 1}
    match kind:
        case "removed":
            return ItemRemoved.model_validate(common)
        case "blocked":
            return ItemBlocked.model_validate(common | {"labels": ("adult",)})
        case "superseded":
            return ItemSuperseded.model_validate(common | {"newest": 9})
        case "rejected":
            return ItemRejected(event_id=event_id, code=Code.IMAGE_MISSING, message="there is no picture `a.png`")
        case _:
            counts = {NEW: (2, 1), UNCHANGED: (0, 1), FACTS: (0, 0)}[kind]
            return ItemIndexed.model_validate(common | {"images": counts[0], "unchanged": counts[1]})


def test_each_kind_of_outcome_is_counted_and_reported_with_its_line() -> None:
    lines: list[ReportLine] = []
    tracker = OutcomeTracker(lines.append)
    ids = {kind: tracker.add(f"item {kind}", n + 2) for n, kind in enumerate(KINDS)}
    for kind, event_id in ids.items():
        tracker.record(outcome(kind, event_id))
    assert tracker.counts == dict.fromkeys(KINDS, 1)
    assert (tracker.sent, tracker.finished) == (len(KINDS), len(KINDS))
    assert [(line.line, line.item_id) for line in lines] == [(n + 2, f"item {k}") for n, k in enumerate(KINDS)]
    by_kind = dict(zip(KINDS, lines, strict=True))
    assert {by_kind[kind].outcome for kind in (NEW, UNCHANGED, FACTS)} == {"indexed"}
    assert by_kind[REMOVED].outcome == "removed"
    assert (by_kind[REJECTED].code, by_kind[REJECTED].message) == ("image_missing", "there is no picture `a.png`")
    assert by_kind[SUPERSEDED].message == "revision 9 is in effect already"
    assert "adult" in by_kind[BLOCKED].message
    assert [reason.places for reason in tracker.rejections] == [[f"line {KINDS.index(REJECTED) + 2}"]]


def test_pictures_that_an_item_lacks_are_counted() -> None:
    lines: list[ReportLine] = []
    tracker = OutcomeTracker(lines.append)
    skipped = tuple(SkippedImage(image=n, code=Code.IMAGE_MISSING, message=f"no file `{n}`") for n in (1, 2))
    event_id = tracker.add("a", 0)
    item = ItemIndexed(
        event_id=event_id, tenant="default", item_id="a", source="catalog", revision=1, images=1, skipped=skipped
    )
    tracker.record(item)
    assert tracker.skipped_images.total == 2
    assert [reason.places for reason in tracker.skipped_images] == [["a", "a"]]
    assert "picture 1: no file" in lines[0].message


def test_outcomes_of_others_and_repeated_ones_are_ignored() -> None:
    tracker, other = OutcomeTracker(), OutcomeTracker()
    mine, foreign = tracker.add("a", 1), other.add("a", 1)
    for event_id in (
        mine, mine, foreign, "", "-", tracker.run_id, f"{tracker.run_id}-", f"{tracker.run_id}-1",
        f"{tracker.run_id}--1", f"{tracker.run_id}-x", f"{tracker.run_id}-٣", "catalog.items/0/7",
    ):  # fmt: skip
        tracker.record(outcome(NEW, event_id))
    assert (tracker.sent, tracker.finished) == (1, 1)
    assert list(tracker.unfinished()) == []


def test_an_event_that_was_not_sent_is_not_waited_for() -> None:
    tracker = OutcomeTracker()
    tracker.add("a", 1)
    tracker.add("b", 2)
    tracker.withdraw()
    assert tracker.sent == 1
    assert [line.item_id for line in tracker.unfinished()] == ["a"]


@given(st.lists(st.tuples(st.text(min_size=1, max_size=8), st.integers(0, 2**40)), max_size=30), st.data())
def test_what_has_no_outcome_is_named_by_line_and_item(rows: list[tuple[str, int]], data: st.DataObject) -> None:
    tracker = OutcomeTracker()
    ids = [tracker.add(item_id, line) for item_id, line in rows]
    assert len(set(ids)) == len(rows)
    done = data.draw(st.sets(st.sampled_from(range(len(rows))))) if rows else set()
    for n in done:
        tracker.record(outcome(NEW, ids[n]))
    found = [(line.item_id, line.line) for line in tracker.unfinished()]
    assert found == [row for n, row in enumerate(rows) if n not in done]


def test_ten_thousand_events_cost_less_than_a_megabyte() -> None:
    tracemalloc.start()
    tracker = OutcomeTracker()
    for n in range(10_000):
        tracker.add(f"sku-{n:08}", n)
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size < 800_000  # so 1,000,000 events cost less than 80 MB
