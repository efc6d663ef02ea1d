"""The revisions in the outcome of an event."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.envelope import Event, from_record
from schemas.outcomes import ItemIndexed, ItemOutcome, ItemRemoved, ItemSuperseded
from tests.consumers.indexer_harness import IndexerHarness, open_indexer, open_shard
from tests.consumers.item_histories import delete, upsert

NOON_MS = 1_764_500_400_123


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[IndexerHarness]:
    shard = open_shard(tmp_path)
    yield open_indexer(shard)
    shard.close()


def outcome_of(harness: IndexerHarness, event: Event) -> ItemOutcome:
    """The outcome of an event."""
    assert harness.job.handle([event]) == {}
    [outcome] = harness.outcomes()
    return outcome


@pytest.mark.parametrize("microsecond", [0, 1, 500, 998])
def test_a_null_value_removes_what_was_sent_in_its_millisecond(harness: IndexerHarness, microsecond: int) -> None:
    assert isinstance(outcome_of(harness, upsert("a", NOON_MS * 1_000 + microsecond, b"red")), ItemIndexed)
    null = from_record("catalog.items/0/7", b"default:a", None, {}, NOON_MS)
    assert isinstance(outcome_of(harness, null), ItemRemoved)


def test_a_replayed_null_value_leaves_what_came_after_it(harness: IndexerHarness) -> None:
    null = from_record("catalog.items/0/7", b"default:a", None, {}, NOON_MS)
    harness.handle(null)
    harness.handle(upsert("a", (NOON_MS + 1) * 1_000, b"red"))
    outcome = outcome_of(harness, null)
    assert isinstance(outcome, ItemSuperseded)
    assert outcome.message is None


def test_the_outcome_of_a_small_revision_after_a_null_value_says_why_it_changes_nothing(
    harness: IndexerHarness,
) -> None:
    harness.handle(upsert("a", 1, b"red"))
    harness.handle(from_record("catalog.items/0/7", b"default:a", None, {}, NOON_MS))
    outcome = outcome_of(harness, upsert("a", 2, b"red"))
    assert isinstance(outcome, ItemSuperseded)
    assert outcome.newest == NOON_MS * 1_000 + 999
    assert outcome.message is not None
    assert (
        f"revision 2 is below {outcome.newest}, a time in microseconds since 1970 (2025-11-30)" in outcome.message
    )
    assert "item.deleted/1" in outcome.message


def test_revisions_of_one_kind_need_no_message(harness: IndexerHarness) -> None:
    harness.handle(delete("a", 7))
    outcome = outcome_of(harness, upsert("a", 3, b"red"))
    assert isinstance(outcome, ItemSuperseded)
    assert (outcome.newest, outcome.message) == (7, None)
