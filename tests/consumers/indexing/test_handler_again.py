"""What is not done again, what events are told of it, and others that write to the same items."""

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
from tests.consumers.histories import (
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
from tests.consumers.shop import Canned, Shop, Worker, between, locked, open_shard, open_shop

RED, BLUE, GREEN = b"red", b"blue", b"green"


@pytest.fixture
def shard(tmp_path: Path) -> Iterator[Shard]:
    opened = open_shard(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def shop(shard: Shard) -> Shop:
    return open_shop(shard)


def outcome(shop: Shop, event: Event) -> ItemOutcome:
    """What one event came to, in a batch of its own."""
    assert shop.job.handle([event]) == {}
    [told] = shop.outcomes()
    return told


def images(told: ItemOutcome) -> tuple[int, int]:
    """How many pictures were embedded, and how many kept."""
    assert isinstance(told, ItemIndexed)
    return told.images, told.unchanged


def test_the_id_of_a_point_is_a_uuid_of_its_place() -> None:
    ids = point_ids("shop", "ö")
    assert ids == [str(uuid.uuid5(NAMESPACE, f"shop\0ö\0{n}")) for n in range(8)]


# --- pictures ---


def test_a_stale_event_is_dropped_before_its_pictures_are_fetched(shop: Shop) -> None:
    shop.handle(upsert("a", 5, RED), delete("b", 5))
    shop.canned.fetched.clear()
    shop.handle(upsert("a", 4, stored_file(BLUE, told=False)), upsert("b", 4, stored_file(BLUE, told=False)))
    shop.handle(upsert("c", 1, BLUE), upsert("c", 2, GREEN))
    assert shop.canned.fetched == [GREEN]


def test_a_repeat_is_done_to_no_effect_without_a_fetch(shop: Shop, shard: Shard) -> None:
    event = upsert("a", 5, stored_file(RED, told=False), stored_file(BAD, told=False), title="t")
    first = outcome(shop, event)
    before, fetched = held(shard, ["a"]), list(shop.canned.fetched)
    versions = shard.payloads(point_ids("default", "a"), ("version",))
    again = outcome(shop, Event(event.body))
    assert (images(first), images(again)) == ((1, 0), (0, 1))
    assert (held(shard, ["a"]), shop.canned.fetched) == (before, fetched)
    assert shard.payloads(point_ids("default", "a"), ("version",)) == versions


@pytest.mark.parametrize("told", [True, False])
def test_a_picture_that_is_the_same_is_not_looked_at_again(shop: Shop, shard: Shard, told: bool) -> None:
    shop.handle(upsert("a", 1, RED, BLUE, title="one", brand="b"), patch("a", 2, in_stock=True))
    shop.canned.looked.clear()
    shop.canned.fetched.clear()
    newer = upsert("a", 3, stored_file(RED, told=told), stored_file(BLUE, told=told), title="three")
    assert images(outcome(shop, newer)) == (0, 2)
    assert shop.canned.looked == []
    assert shop.canned.fetched == ([] if told else [RED, BLUE])
    assert held(shard, ["a"]) == expected([newer])
    main = point_ids("default", "a")[:1]
    where = stored_file(RED, told=told).model_dump(exclude_none=True)
    assert shard.payloads(main, ("brand", "colours", "image")) == {main[0]: {"colours": ["red"], "image": where}}


def test_new_pictures_are_looked_at_beside_those_that_stay_and_old_ones_go(shop: Shop, shard: Shard) -> None:
    shop.handle(upsert("a", 1, RED, BLUE, GREEN))
    shop.canned.looked.clear()
    newer = upsert("a", 2, RED, b"new")
    assert images(outcome(shop, newer)) == (1, 1)
    assert shop.canned.looked == [b"new"]
    assert held(shard, ["a"]) == expected([newer])
    newest = upsert("a", 3, b"newest", b"new", GREEN)
    assert images(outcome(shop, newest)) == (2, 1)
    assert held(shard, ["a"]) == expected([newest])


def test_a_picture_that_turned_bad_goes_and_is_told_of(shop: Shop, shard: Shard) -> None:
    shop.handle(upsert("a", 1, RED, BLUE))
    newer = upsert("a", 2, RED, BAD)
    told = outcome(shop, newer)
    assert isinstance(told, ItemIndexed)
    assert [(skipped.image, skipped.code) for skipped in told.skipped] == [(1, Code.IMAGE_UNREADABLE)]
    assert held(shard, ["a"]) == expected([newer])


# --- outcomes ---


def test_every_event_of_a_batch_is_told_what_became_of_it(shop: Shop) -> None:
    events = [upsert("a", 1, RED), upsert("a", 3, RED), patch("a", 4, title="x"), patch("a", 2, title="y")]
    assert shop.job.handle([*events, delete("b", 7)]) == {}
    told = shop.outcomes()
    kinds = [(ItemSuperseded, 1), (ItemIndexed, 3), (ItemIndexed, 4), (ItemSuperseded, 2), (ItemRemoved, 7)]
    assert [(type(each), each.revision) for each in told] == kinds
    assert [each.event_id for each in told[:4]] == [event.id for event in events]
    assert [each.newest for each in told if isinstance(each, ItemSuperseded)] == [4, 4]


def test_an_outcome_that_is_sent_again_has_the_same_id(shop: Shop) -> None:
    event = upsert("a", 1, RED)
    ids = []
    for _ in range(2):
        shop.job.handle([event, event])
        ids += [sent.id for sent in shop.outbox.take()]
    assert len(ids) == 2
    assert len(set(ids)) == 1
    assert ids[0] != event.id


def test_times_are_in_their_order(shop: Shop) -> None:
    told = outcome(shop, upsert("a", 1, RED))
    assert isinstance(told, ItemIndexed)
    times = told.times
    assert times.event_time is not None
    assert times.received_at is not None
    assert times.searchable_at is not None
    assert times.event_time <= times.received_at <= times.searchable_at


# --- others who write ---


def test_what_others_write_while_pictures_are_looked_at_is_kept(shop: Shop, shard: Shard) -> None:
    shop.handle(upsert("a", 1, RED), upsert("b", 1, RED), upsert("c", 1, RED))
    others = [patch("a", 9, title="nine"), delete("b", 9), upsert("c", 9, GREEN)]
    slow = open_shop(shard, Canned(meanwhile=lambda: shop.handle(*others)))
    events = [upsert(item, 2, BLUE) for item in "abc"]
    failures = slow.job.handle(events)
    assert failures == {}
    assert [type(told) for told in slow.outcomes()] == [ItemIndexed, ItemSuperseded, ItemSuperseded]
    assert held(shard, ["a", "b", "c"]) == expected([*events, *others])


def test_a_job_that_always_comes_too_late_holds_its_batch(shop: Shop, shard: Shard) -> None:
    shop.handle(upsert("a", 1, RED))
    revisions = count(2)

    def write() -> None:
        shop.handle(patch("a", next(revisions), brand="x"))

    busy = open_shop(between(shard, write))
    with pytest.raises(Unavailable, match="item a of default is being changed by others"):
        busy.handle(patch("a", 5_000, title="x"))
    assert next(revisions) > MAX_LOST_RACES


def test_two_threads_may_share_the_job(shard: Shard) -> None:
    chance = Random(1)
    events = [event_of((f"i{n % 5}", chance.choice(KINDS), n, n)) for n in range(1, 150)]
    batches = delivered(events, chance)
    shop = open_shop(locked(shard))
    with ThreadPoolExecutor(2) as lanes:
        failed = [dict(failures) for failures in lanes.map(shop.job.handle, batches)]
    shop.outcomes()
    later = {id for failures in failed for id, failure in failures.items() if isinstance(failure, TryLater)}
    worker = Worker(shop, later={event.id: event for event in events if event.id in later})
    worker.try_later()
    assert held(shard, [f"i{n}" for n in range(5)]) == expected(events)


# --- tombstones ---


def test_a_deleted_item_is_forgotten_after_a_week_and_hourly_at_the_most(shard: Shard) -> None:
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    times = [noon]
    shop = open_shop(shard, now=lambda: times[0])
    shop.handle(upsert("a", 1, RED), delete("a", 5))
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
        shop.job.idle()
        assert bool(held(shard, ["a"])) is there
    shop.handle(upsert("a", 4, RED))
    assert held(shard, ["a"]) == expected([upsert("a", 4, RED)])


def test_an_item_that_came_back_is_not_forgotten(shard: Shard) -> None:
    times = [datetime(2026, 1, 1, tzinfo=UTC)]
    shop = open_shop(shard, now=lambda: times[0])
    back = upsert("a", 6, RED)
    shop.handle(delete("a", 5))
    shop.handle(back)
    times[0] += timedelta(days=TOMBSTONE_DAYS + 1)
    shop.job.idle()
    assert held(shard, ["a"]) == expected([back])


def test_what_another_worker_tells_of_is_written_without_a_word(shop: Shop) -> None:
    other = open_shop(shop.index, reports_outcomes=lambda _time: False)
    event = upsert("a", 1, RED)
    assert other.job.handle([event]) == {}
    assert other.outcomes() == []
    assert held(shop.index, ["a"]) == expected([event])
