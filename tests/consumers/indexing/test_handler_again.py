"""Repeated events: the work that is not repeated, their outcomes, and other writers of the same items."""

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from random import Random

import pytest

from consumers.indexing.handler import MAX_LOST_RACES, TOMBSTONE_COLLECTION_HOURS, TOMBSTONE_DAYS
from infra.qdrant.embedded.shard import Shard
from infra.qdrant.point_ids import NAMESPACE, point_ids
from schemas.envelope import Event
from schemas.failures import Code, TryLater, Unavailable
from schemas.outcomes import ItemIndexed, ItemOutcome, ItemRemoved, ItemSuperseded
from tests.consumers.indexer_harness import (
    HashPictures,
    IndexerHarness,
    Worker,
    interleaved,
    locked,
    open_indexer,
    open_shard,
)
from tests.consumers.item_histories import (
    BAD,
    KINDS,
    delete,
    delivered,
    event_of,
    expected,
    held,
    patch,
    stored_file,
    upsert,
)

RED, BLUE, GREEN = b"red", b"blue", b"green"


@pytest.fixture
def shard(tmp_path: Path) -> Iterator[Shard]:
    opened = open_shard(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def harness(shard: Shard) -> IndexerHarness:
    return open_indexer(shard)


def outcome(harness: IndexerHarness, event: Event) -> ItemOutcome:
    """The outcome of one event, in a batch of its own."""
    assert harness.job.handle([event]) == {}
    [with_checksum] = harness.outcomes()
    return with_checksum


def images(with_checksum: ItemOutcome) -> tuple[int, int]:
    """The counts of embedded and of unchanged pictures."""
    assert isinstance(with_checksum, ItemIndexed)
    return with_checksum.images, with_checksum.unchanged


def test_the_id_of_a_point_is_a_uuid_of_its_place() -> None:
    ids = point_ids("shop", "ö")
    assert ids == [str(uuid.uuid5(NAMESPACE, f"shop\0ö\0{n}")) for n in range(8)]


# --- pictures ---


def test_a_stale_event_is_dropped_before_its_pictures_are_fetched(harness: IndexerHarness) -> None:
    harness.handle(upsert("a", 5, RED), delete("b", 5))
    harness.hash_pictures.fetched.clear()
    harness.handle(
        upsert("a", 4, stored_file(BLUE, with_checksum=False)),
        upsert("b", 4, stored_file(BLUE, with_checksum=False)),
    )
    harness.handle(upsert("c", 1, BLUE), upsert("c", 2, GREEN))
    assert harness.hash_pictures.fetched == [GREEN]


def test_a_repeat_is_done_to_no_effect_without_a_fetch(harness: IndexerHarness, shard: Shard) -> None:
    event = upsert("a", 5, stored_file(RED, with_checksum=False), stored_file(BAD, with_checksum=False), title="t")
    first = outcome(harness, event)
    before, fetched = held(shard, ["a"]), list(harness.hash_pictures.fetched)
    versions = shard.payloads(point_ids("default", "a"), ("version",))
    again = outcome(harness, Event(event.body))
    assert (images(first), images(again)) == ((1, 0), (0, 1))
    assert (held(shard, ["a"]), harness.hash_pictures.fetched) == (before, fetched)
    assert shard.payloads(point_ids("default", "a"), ("version",)) == versions


@pytest.mark.parametrize("with_checksum", [True, False])
def test_a_picture_that_is_the_same_is_not_looked_at_again(
    harness: IndexerHarness, shard: Shard, with_checksum: bool
) -> None:
    harness.handle(upsert("a", 1, RED, BLUE, title="one", brand="b"), patch("a", 2, in_stock=True))
    harness.hash_pictures.looked.clear()
    harness.hash_pictures.fetched.clear()
    newer = upsert(
        "a",
        3,
        stored_file(RED, with_checksum=with_checksum),
        stored_file(BLUE, with_checksum=with_checksum),
        title="three",
    )
    assert images(outcome(harness, newer)) == (0, 2)
    assert harness.hash_pictures.looked == []
    assert harness.hash_pictures.fetched == ([] if with_checksum else [RED, BLUE])
    assert held(shard, ["a"]) == expected([newer])
    main = point_ids("default", "a")[:1]
    where = stored_file(RED, with_checksum=with_checksum).model_dump(exclude_none=True)
    assert shard.payloads(main, ("brand", "colours", "image")) == {main[0]: {"colours": ["red"], "image": where}}


def test_new_pictures_are_looked_at_beside_those_that_stay_and_old_ones_go(
    harness: IndexerHarness, shard: Shard
) -> None:
    harness.handle(upsert("a", 1, RED, BLUE, GREEN))
    harness.hash_pictures.looked.clear()
    newer = upsert("a", 2, RED, b"new")
    assert images(outcome(harness, newer)) == (1, 1)
    assert harness.hash_pictures.looked == [b"new"]
    assert held(shard, ["a"]) == expected([newer])
    newest = upsert("a", 3, b"newest", b"new", GREEN)
    assert images(outcome(harness, newest)) == (2, 1)
    assert held(shard, ["a"]) == expected([newest])


def test_a_picture_that_turned_bad_goes_and_is_told_of(harness: IndexerHarness, shard: Shard) -> None:
    harness.handle(upsert("a", 1, RED, BLUE))
    newer = upsert("a", 2, RED, BAD)
    with_checksum = outcome(harness, newer)
    assert isinstance(with_checksum, ItemIndexed)
    assert [(skipped.image, skipped.code) for skipped in with_checksum.skipped] == [(1, Code.IMAGE_UNREADABLE)]
    assert held(shard, ["a"]) == expected([newer])


# --- outcomes ---


def test_every_event_of_a_batch_is_told_what_became_of_it(harness: IndexerHarness) -> None:
    events = [upsert("a", 1, RED), upsert("a", 3, RED), patch("a", 4, title="x"), patch("a", 2, title="y")]
    assert harness.job.handle([*events, delete("b", 7)]) == {}
    with_checksum = harness.outcomes()
    kinds = [(ItemSuperseded, 1), (ItemIndexed, 3), (ItemIndexed, 4), (ItemSuperseded, 2), (ItemRemoved, 7)]
    assert [(type(each), each.revision) for each in with_checksum] == kinds
    assert [each.event_id for each in with_checksum[:4]] == [event.id for event in events]
    assert [each.newest for each in with_checksum if isinstance(each, ItemSuperseded)] == [4, 4]


def test_an_outcome_that_is_sent_again_has_the_same_id(harness: IndexerHarness) -> None:
    event = upsert("a", 1, RED)
    ids = []
    for _ in range(2):
        harness.job.handle([event, event])
        ids += [sent.id for sent in harness.outbox.take()]
    assert len(ids) == 2
    assert len(set(ids)) == 1
    assert ids[0] != event.id


def test_times_are_in_their_order(harness: IndexerHarness) -> None:
    with_checksum = outcome(harness, upsert("a", 1, RED))
    assert isinstance(with_checksum, ItemIndexed)
    times = with_checksum.times
    assert times.event_time is not None
    assert times.received_at is not None
    assert times.searchable_at is not None
    assert times.event_time <= times.received_at <= times.searchable_at


# --- other writers ---


def test_what_others_write_while_pictures_are_looked_at_is_kept(harness: IndexerHarness, shard: Shard) -> None:
    harness.handle(upsert("a", 1, RED), upsert("b", 1, RED), upsert("c", 1, RED))
    others = [patch("a", 9, title="nine"), delete("b", 9), upsert("c", 9, GREEN)]
    slow = open_indexer(shard, HashPictures(meanwhile=lambda: harness.handle(*others)))
    events = [upsert(item, 2, BLUE) for item in "abc"]
    failures = slow.job.handle(events)
    assert failures == {}
    assert [type(with_checksum) for with_checksum in slow.outcomes()] == [
        ItemIndexed,
        ItemSuperseded,
        ItemSuperseded,
    ]
    assert held(shard, ["a", "b", "c"]) == expected([*events, *others])


def test_a_job_that_always_comes_too_late_holds_its_batch(harness: IndexerHarness, shard: Shard) -> None:
    harness.handle(upsert("a", 1, RED))
    revisions = count(2)

    def write() -> None:
        harness.handle(patch("a", next(revisions), brand="x"))

    busy = open_indexer(interleaved(shard, write))
    with pytest.raises(Unavailable, match="item a of default is being changed by others"):
        busy.handle(patch("a", 5_000, title="x"))
    assert next(revisions) > MAX_LOST_RACES


def test_two_threads_may_share_the_job(shard: Shard) -> None:
    rng = Random(1)
    events = [event_of((f"i{n % 5}", rng.choice(KINDS), n, n)) for n in range(1, 150)]
    batches = delivered(events, rng)
    harness = open_indexer(locked(shard))
    with ThreadPoolExecutor(2) as lanes:
        failed = [dict(failures) for failures in lanes.map(harness.job.handle, batches)]
    harness.outcomes()
    later = {id for failures in failed for id, failure in failures.items() if isinstance(failure, TryLater)}
    worker = Worker(harness, later={event.id: event for event in events if event.id in later})
    worker.try_later()
    assert held(shard, [f"i{n}" for n in range(5)]) == expected(events)


# --- tombstones ---


def test_a_deleted_item_is_forgotten_after_a_week_and_hourly_at_the_most(shard: Shard) -> None:
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    times = [noon]
    harness = open_indexer(shard, now=lambda: times[0])
    harness.handle(upsert("a", 1, RED), delete("a", 5))
    week, hour, moment = (
        timedelta(days=TOMBSTONE_DAYS),
        timedelta(hours=TOMBSTONE_COLLECTION_HOURS),
        timedelta(seconds=1),
    )
    for now, there in [
        (noon, True),
        (noon + week, True),
        (noon + week + moment, True),  # collected a second ago
        (noon + week + hour, False),
    ]:
        times[0] = now
        harness.job.idle()
        assert bool(held(shard, ["a"])) is there
    harness.handle(upsert("a", 4, RED))
    assert held(shard, ["a"]) == expected([upsert("a", 4, RED)])


def test_an_item_that_came_back_is_not_forgotten(shard: Shard) -> None:
    times = [datetime(2026, 1, 1, tzinfo=UTC)]
    harness = open_indexer(shard, now=lambda: times[0])
    back = upsert("a", 6, RED)
    harness.handle(delete("a", 5))
    harness.handle(back)
    times[0] += timedelta(days=TOMBSTONE_DAYS + 1)
    harness.job.idle()
    assert held(shard, ["a"]) == expected([back])


def test_what_another_worker_tells_of_is_written_without_a_word(harness: IndexerHarness) -> None:
    other = open_indexer(harness.index, reports_outcomes=lambda _time: False)
    event = upsert("a", 1, RED)
    assert other.job.handle([event]) == {}
    assert other.outcomes() == []
    assert held(harness.index, ["a"]) == expected([event])
