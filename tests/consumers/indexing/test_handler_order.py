"""In any order, batches and repeats of events, the revisions decide an item's final state. On a real shard."""

import random
import uuid
from collections.abc import Iterator, Sequence
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infra.qdrant.embedded.shard import Shard
from schemas.envelope import Event
from schemas.failures import Unavailable
from schemas.items import ItemUpserted
from tests.consumers.indexer_harness import Worker, flaky, interleaved, open_indexer, open_shard
from tests.consumers.item_histories import (
    KINDS,
    PICKS,
    Step,
    delivered,
    event_of,
    expected,
    held,
    is_bad,
    stored_file,
    upsert,
)

ITEMS = ("a", "b")
steps = st.lists(
    st.tuples(st.sampled_from(ITEMS), st.sampled_from(KINDS), st.integers(1, 30), st.integers(0, PICKS - 1)),
    min_size=8,
    max_size=20,
    unique_by=lambda step: (step[0], step[2]),
)


@pytest.fixture(scope="module")
def shard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shard]:
    opened = open_shard(tmp_path_factory.mktemp("order"))
    yield opened
    opened.close()


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(steps, st.randoms(use_true_random=False))
def test_revisions_decide_the_result_of_a_history_in_any_order(
    shard: Shard, history: Sequence[Step], rng: random.Random
) -> None:
    own = uuid.uuid4().hex
    events = events_of(own, history)
    worker = Worker(open_indexer(shard))
    for batch in delivered(events, rng):
        worker.take(batch)
    worker.try_later()
    assert worker.refused <= {
        event.id for event in events if isinstance(event.body, ItemUpserted) and is_bad(event.body)
    }
    assert held(shard, [own + item for item in ITEMS]) == expected(events)


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(steps, st.randoms(use_true_random=False))
def test_workers_that_get_in_between_each_other_lose_nothing(
    shard: Shard, history: Sequence[Step], rng: random.Random
) -> None:
    own = uuid.uuid4().hex
    events = events_of(own, history)
    batches = delivered(events, rng)
    half = len(batches) // 2
    theirs = batches[half:]
    other = Worker(open_indexer(shard))

    def other_works() -> None:
        if theirs and rng.random() < 0.4:
            other.take(theirs.pop())

    worker = Worker(open_indexer(interleaved(shard, other_works), other.harness.hash_pictures))
    for batch in batches[:half]:
        worker.take(batch)
    while theirs:
        other.take(theirs.pop())
    worker.later |= other.later
    worker.try_later()
    assert held(shard, [own + item for item in ITEMS]) == expected(events)


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(steps, st.randoms(use_true_random=False))
def test_writes_that_break_off_in_the_middle_leave_nothing_behind(
    shard: Shard, history: Sequence[Step], rng: random.Random
) -> None:
    own = uuid.uuid4().hex
    events = events_of(own, history)
    worker = Worker(open_indexer(flaky(shard, rng)))
    waiting: list[Event] = []
    for batch in delivered(events, rng):
        waiting += batch
        with suppress(Unavailable):
            worker.take(waiting)
            waiting = []
    survivor = Worker(open_indexer(shard, worker.harness.hash_pictures), later=worker.later)
    survivor.take(waiting)
    survivor.try_later()
    assert held(shard, [own + item for item in ITEMS]) == expected(events)


def test_things_that_an_item_has_no_more_are_removed_whichever_write_breaks_off(shard: Shard) -> None:
    for seed in range(40):
        item = uuid.uuid4().hex
        picture = stored_file(b"green", with_checksum=False)
        indexer = open_indexer(shard)
        indexer.handle(upsert(item, 1, picture, objects="all"))
        without_things = upsert(item, 2, picture)
        with suppress(Unavailable):
            open_indexer(flaky(shard, random.Random(seed), 0.5), indexer.hash_pictures).handle(without_things)
        indexer.handle(without_things)
        assert "regions" not in held(shard, [item])[item]
        assert "points that contradict each other" not in held(shard, [item])[item]


def events_of(own: str, history: Sequence[Step]) -> list[Event]:
    """The events of a history, about items that are this test's own."""
    return [event_of((own + item, kind, revision, pick)) for item, kind, revision, pick in history]
