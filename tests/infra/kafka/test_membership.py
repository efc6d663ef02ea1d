"""Members of a group: when they join; a fenced static member joins again; of two with one name, one ends."""

import time
from collections.abc import Callable
from contextlib import closing

import pytest

from infra.config.kafka import KafkaSettings
from infra.kafka import Batch, EventSink, EventSource, Fenced, PartitionsRevoked, Record
from infra.kafka.membership import REJOIN_INTERVAL_SECONDS
from schemas.envelope import Event
from schemas.items import ItemDeleted
from schemas.topics import CATALOG_ITEMS

WAIT_SECONDS = 60.0


@pytest.fixture
def member(kafka: KafkaSettings, kafka_server: str | None) -> KafkaSettings:
    """Settings of a static member, with a session that a broker takes."""
    if kafka_server is None:
        pytest.skip("static members are Apache Kafka's: `make conformance` runs this")
    return kafka.model_copy(update={"session_timeout_ms": 6_000, "static_member": "the-one"})


def join(kafka: KafkaSettings) -> EventSource:
    """A member of the group, which has partitions."""
    source = EventSource(kafka, "g", [CATALOG_ITEMS])
    poll_until(source, lambda: source.assigned)
    return source


def poll_until(source: EventSource, holds: Callable[[], bool]) -> None:
    """Poll without reading records until a condition holds."""
    until = time.monotonic() + WAIT_SECONDS
    while not holds():
        assert time.monotonic() < until, "waited in vain"
        source.poll_batch(1, 0, 0.05)


def take_first(source: EventSource) -> list[Record]:
    """The first batch that has records."""
    until = time.monotonic() + WAIT_SECONDS
    while not (records := list(source.poll_batch(1, 0, 0.05).records)):
        assert time.monotonic() < until, "waited in vain"
    return records


def test_a_worker_takes_no_partitions_until_it_asks_for_records(kafka: KafkaSettings) -> None:
    """It may have an encoder to load first, and the others go on meanwhile."""
    names = [str(n) for n in range(32)]
    with closing(EventSink(kafka)) as sink:
        for name in names:
            sink.send(CATALOG_ITEMS, name, Event(ItemDeleted(item_id=name, revision=1)))
        sink.flush()
    with closing(EventSource(kafka, "g", [CATALOG_ITEMS])), closing(join(kafka)) as other:
        found: set[bytes | None] = set()
        until = time.monotonic() + WAIT_SECONDS
        while len(found) < len(names):
            assert time.monotonic() < until, f"the one that asks has {len(found)} of {len(names)} records"
            found |= {record.key for record in other.poll_batch(len(names), 0, 0.05).records}


def test_what_a_removed_member_has_in_hand_is_not_committed_but_received_again(kafka: KafkaSettings) -> None:
    """The client keeps its partitions, and says nothing, when it joins as a new member."""
    with closing(EventSink(kafka)) as sink:
        sink.send(CATALOG_ITEMS, "a", Event(ItemDeleted(item_id="a", revision=1)))
        sink.flush()
    with closing(join(kafka)) as source:
        [record] = take_first(source)
        batch = Batch([record], {record.place: source._assignments[record.place].epoch})
        source._member._member_id = "the member before"
        with pytest.raises(PartitionsRevoked):
            source.group_metadata()
        source.mark_finished(batch)
        with pytest.raises(PartitionsRevoked):
            source.commit_sync()
        source._on_assign(source._member.consumer, [])
        assert source.filter_owned(batch).records == []
        assert take_first(source) == [record]


def test_a_member_that_was_fenced_joins_anew_and_receives_what_comes(member: KafkaSettings) -> None:
    with closing(join(member)) as source, closing(join(member)), closing(EventSink(member)) as sink:
        # The other one says nothing more, as when the coordinator died before it could answer a joining.
        poll_until(source, lambda: not source.assigned)
        sink.send(CATALOG_ITEMS, "a", Event(ItemDeleted(item_id="a", revision=1)))
        sink.flush()
        assert [record.key for record in take_first(source)] == [b"a"]


def test_of_two_workers_with_one_name_one_ends_and_is_told_the_remedy(member: KafkaSettings) -> None:
    first = join(member)
    with (
        closing(join(member)) as second,
        pytest.raises(Fenced, match="give each a slot or a static member of its own"),
    ):
        poll_both(first, second)


def poll_both(first: EventSource, second: EventSource) -> None:
    """Have two members poll until one raises."""
    until = time.monotonic() + REJOIN_INTERVAL_SECONDS + WAIT_SECONDS
    while time.monotonic() < until:
        first.poll_batch(1, 0, 0.05)
        second.poll_batch(1, 0, 0.05)
