"""The loop over a real broker: nothing is committed before it is safe, and nothing is lost."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from consumers.dead_letters import read_topics
from consumers.worker import Batches, Job, Stop, Worker
from infra.health import Heartbeat
from infra.kafka import EventSink, EventSource, Record
from infra.settings import Kafka
from schemas.envelope import Event
from schemas.failures import Code, Failure, Rejected, Unavailable
from schemas.items import ItemDeleted
from schemas.topics import CATALOG_ITEMS

USUAL = Batches(64, 0.05)


@dataclass
class Notes:
    """A job that writes down what it is given, and fails as it is told to."""

    refuse: set[str] = field(default_factory=set)
    away: int = 0
    seen: list[list[str]] = field(default_factory=list)
    told: list[tuple[str, Code]] = field(default_factory=list)
    kept: int = 0

    def handle(self, events: Sequence[Event]) -> Mapping[str, Failure]:
        self.seen.append([item_of(event) for event in events])
        if self.away:
            self.away -= 1
            raise Unavailable("the index is away, for the test")
        no = Rejected(Code.IMAGE_MISSING, "refused, for the test")
        return {event.id: no for event in events if item_of(event) in self.refuse}

    def tell(self, record: Record, event: Event | None, failure: Failure) -> None:
        self.told.append((record.position, failure.code))

    def keep(self) -> None:
        self.kept += 1

    @property
    def done(self) -> set[str]:
        return {item for batch in self.seen for item in batch}


def item_of(event: Event) -> str:
    assert isinstance(event.body, ItemDeleted)
    return event.body.item_id


@pytest.fixture
def sink(kafka: Kafka) -> Iterator[EventSink]:
    made = EventSink(kafka)
    yield made
    made.close()


def send(sink: EventSink, *items: str) -> None:
    for item in items:
        sink.send(CATALOG_ITEMS, f"default:{item}", Event(ItemDeleted(item_id=item, revision=1)))
    sink.flush()


def run_until_idle(kafka: Kafka, sink: EventSink, notes: Notes, *, batches: Batches = USUAL) -> None:
    """Run a worker until nothing has come for a while."""
    source = EventSource(kafka, "workers", [CATALOG_ITEMS])
    job = Job(notes.handle, notes.tell, notes.keep)
    Worker(source, sink, job, batches, Heartbeat(None)).run(Stop(when_idle=True), idle_seconds=0.3)
    source.close()


def test_every_event_is_handled_once_and_not_again_after_the_commit(kafka: Kafka, sink: EventSink) -> None:
    send(sink, *"abcdefgh")
    first, second = Notes(), Notes()
    run_until_idle(kafka, sink, first)
    run_until_idle(kafka, sink, second)
    assert sorted(item for batch in first.seen for item in batch) == list("abcdefgh")
    assert second.seen == []
    assert first.kept >= 1


def test_a_refused_event_is_dead_lettered_whole_and_the_rest_goes_on(kafka: Kafka, sink: EventSink) -> None:
    send(sink, "good", "bad", "fine")
    notes = Notes(refuse={"bad"})
    run_until_idle(kafka, sink, notes)
    [letter] = read_topics(kafka)
    assert notes.done == {"good", "bad", "fine"}
    assert letter.key == b"default:bad"
    assert b'"item_id":"bad"' in (letter.value or b"")
    assert (letter.code, letter.topic, letter.headers["ce_type"]) == (
        Code.IMAGE_MISSING,
        CATALOG_ITEMS,
        "lookstream.item.deleted/1",
    )
    assert notes.told == [(letter.position, Code.IMAGE_MISSING)]


def test_an_unreadable_record_is_dead_lettered_with_its_bytes(kafka: Kafka, sink: EventSink) -> None:
    sink.send_raw(CATALOG_ITEMS, b"default:x", b"\xff not json", {"mine": b"kept"})
    send(sink, "good")
    notes = Notes()
    run_until_idle(kafka, sink, notes)
    [letter] = read_topics(kafka)
    assert notes.done == {"good"}
    assert (letter.value, letter.code, letter.headers) == (
        b"\xff not json",
        Code.EVENT_UNREADABLE,
        {"mine": "kept"},
    )


def test_a_tombstone_is_an_event_too(kafka: Kafka, sink: EventSink) -> None:
    sink.send_raw(CATALOG_ITEMS, b"default:gone", None, {})
    sink.flush()
    notes = Notes()
    run_until_idle(kafka, sink, notes)
    assert notes.done == {"gone"}


def test_what_can_wait_is_done_in_turns_in_which_nothing_came(kafka: Kafka, sink: EventSink) -> None:
    send(sink, *"abc")
    notes, idle = Notes(), list[int]()
    source = EventSource(kafka, "workers", [CATALOG_ITEMS])
    job = Job(notes.handle, notes.tell, idle=lambda: idle.append(len(notes.seen)))
    Worker(source, sink, job, USUAL, Heartbeat(None)).run(Stop(when_idle=True), idle_seconds=0.3)
    source.close()
    assert notes.done == set("abc")
    assert idle[-1] == len(notes.seen)


def test_while_the_index_is_away_the_batch_is_held_and_then_done(kafka: Kafka, sink: EventSink) -> None:
    send(sink, "a")
    notes = Notes(away=2)
    run_until_idle(kafka, sink, notes)
    assert notes.seen == [["a"], ["a"], ["a"]]
    assert list(read_topics(kafka)) == []


def test_a_worker_that_is_stopped_while_holding_commits_nothing(kafka: Kafka, sink: EventSink) -> None:
    send(sink, "a")
    source, stop = EventSource(kafka, "workers", [CATALOG_ITEMS]), Stop()

    def stop_at_once(events: Sequence[Event]) -> Mapping[str, Failure]:
        stop.now = True
        raise Unavailable("away, for the test")

    job = Job(stop_at_once, Notes().tell)
    Worker(source, sink, job, Batches(64, 0.05), Heartbeat(None)).run(stop)
    source.close()
    notes = Notes()
    run_until_idle(kafka, sink, notes)
    assert notes.done == {"a"}


def test_what_was_not_committed_yet_is_done_again_by_the_next_worker(kafka: Kafka, sink: EventSink) -> None:
    send(sink, "a")
    source = EventSource(kafka, "workers", [CATALOG_ITEMS])
    first, stop = Notes(), Stop()
    worker = Worker(
        source, sink, Job(first.handle, first.tell), Batches(1, 0.05, commit_seconds=60), Heartbeat(None)
    )
    until = time.monotonic() + 10
    while not first.seen and time.monotonic() < until:
        worker.step(stop)
    source.close()  # as if killed: the batch was handled, its commit had not come
    second = Notes()
    run_until_idle(kafka, sink, second)
    assert (first.done, second.done) == ({"a"}, {"a"})


def test_many_small_batches_are_committed_together(kafka: Kafka, sink: EventSink) -> None:
    send(sink, *(str(n) for n in range(40)))
    notes = Notes()
    run_until_idle(kafka, sink, notes, batches=Batches(4, 0.05, commit_seconds=60))
    assert len(notes.seen) >= 10
    assert notes.kept == 1


def test_two_workers_share_the_partitions_and_nothing_is_missed(kafka: Kafka, sink: EventSink) -> None:
    sources = [EventSource(kafka, "workers", [CATALOG_ITEMS]) for _ in range(2)]
    notes = [Notes(), Notes()]
    workers = [
        Worker(s, sink, Job(n.handle, n.tell), Batches(4, 0.01), Heartbeat(None))
        for s, n in zip(sources, notes, strict=True)
    ]
    items = [str(n) for n in range(60)]
    send(sink, *items)
    until = time.monotonic() + 30
    while notes[0].done | notes[1].done != set(items) and time.monotonic() < until:
        for worker in workers:
            worker.step(Stop())
    for source in sources:
        source.close()
    assert notes[0].done | notes[1].done == set(items)
