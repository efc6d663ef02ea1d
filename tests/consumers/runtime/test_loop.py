"""The loop over a real broker: nothing is committed before it is durable, and nothing is lost."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from consumers.operations.dead_letters.dead_letter import read_topics
from consumers.runtime import batch_processor
from consumers.runtime.batch_processor import BATCH_BACKOFF, BatchOverdue, BatchProcessor
from consumers.runtime.commit import AtLeastOnceCommit
from consumers.runtime.crash_ledger import CrashLedger
from consumers.runtime.dead_letter_limit import DeadLetterLimit, Unlimited
from consumers.runtime.failure_router import FailureRouter
from consumers.runtime.loop import BatchSize, WorkerLoop
from consumers.runtime.parsing import ParsedRecord, parse
from consumers.runtime.shutdown import ShutdownSignal
from infra.config.kafka import KafkaSettings
from infra.kafka import EventSink, EventSource, OutgoingRecord, Record, read_to_end
from infra.observability.heartbeat import HeartbeatFile
from infra.retry import Retry
from schemas.envelope import Event
from schemas.failures import Code, Failure, Rejected, Unavailable
from schemas.items import ItemDeleted
from schemas.topics import CATALOG_ITEMS, retry_topic
from tests.consumers.runtime.handlers import FunctionHandler

USUAL = BatchSize(64, 0.05)


@dataclass
class Notes:
    """A handler that records its calls, and fails as configured."""

    handle_expired: set[str] = field(default_factory=set)
    away: int = 0
    handled: list[list[str]] = field(default_factory=list)
    failed: list[tuple[str, Code]] = field(default_factory=list)
    prunes: int = 0
    idled: list[int] = field(default_factory=list)

    def handle(self, events: Sequence[Event]) -> Mapping[str, Failure]:
        self.handled.append([item_of(event) for event in events])
        if self.away:
            self.away -= 1
            raise Unavailable("the index is away, for the test")
        no = Rejected(Code.IMAGE_MISSING, "refused, for the test")
        return {event.id: no for event in events if item_of(event) in self.handle_expired}

    def note_failure(self, record: Record, event: Event | None, failure: Failure) -> None:
        self.failed.append((record.position, failure.code))

    def keep(self) -> None:
        self.prunes += 1

    def idle(self) -> None:
        self.idled.append(len(self.handled))

    def already_processed(self, _record: Record) -> bool:
        return False

    def deferred_ids(self, _events: Sequence[Event]) -> set[str]:
        return set()

    @property
    def done(self) -> set[str]:
        return {item for batch in self.handled for item in batch}


def item_of(event: Event) -> str:
    assert isinstance(event.body, ItemDeleted)
    return event.body.item_id


@pytest.fixture
def sink(kafka: KafkaSettings) -> Iterator[EventSink]:
    made = EventSink(kafka)
    yield made
    made.close()


def send(sink: EventSink, *items: str, partition: int | None = None) -> None:
    for item in items:
        sink.send(CATALOG_ITEMS, f"default:{item}", Event(ItemDeleted(item_id=item, revision=1)), partition)
    sink.flush()


@dataclass
class Setting:
    """What the worker under test is made with."""

    batches: BatchSize = USUAL
    commit_seconds: float = 0.0
    limit: DeadLetterLimit | Unlimited = field(default_factory=Unlimited)
    ledger: Path | None = None
    delays: Mapping[str, float] = field(default_factory=dict)
    pauses: Retry = BATCH_BACKOFF


def make_worker(source: EventSource, sink: EventSink, notes: Notes, setting: Setting | None = None) -> WorkerLoop:
    given = setting or Setting()
    strategy = AtLeastOnceCommit(source, sink, notes.keep, given.commit_seconds)
    router = FailureRouter(sink, notes.note_failure, given.limit, delays=given.delays)
    calls = FunctionHandler(notes.handle, notes.idle, notes.already_processed, find_deferred=notes.deferred_ids)
    processor = BatchProcessor(calls, router, strategy, CrashLedger(given.ledger), given.pauses)
    return WorkerLoop(source, processor, strategy, given.batches, HeartbeatFile(None))


def run_until_idle(kafka: KafkaSettings, sink: EventSink, notes: Notes, setting: Setting | None = None) -> None:
    """Run a worker until nothing has come for a while."""
    source = EventSource(kafka, "workers", [CATALOG_ITEMS])
    try:
        make_worker(source, sink, notes, setting).run(ShutdownSignal(when_idle=True), idle_seconds=0.3)
    finally:
        source.close()


def test_every_event_is_handled_once_and_not_again_after_the_commit(kafka: KafkaSettings, sink: EventSink) -> None:
    send(sink, *"abcdefgh")
    first, second = Notes(), Notes()
    run_until_idle(kafka, sink, first)
    run_until_idle(kafka, sink, second)
    assert sorted(item for batch in first.handled for item in batch) == list("abcdefgh")
    assert second.handled == []
    assert first.prunes >= 1


def test_a_refused_event_is_dead_lettered_whole_and_the_others_are_processed(
    kafka: KafkaSettings, sink: EventSink
) -> None:
    send(sink, "good", "bad", "fine")
    notes = Notes(handle_expired={"bad"})
    run_until_idle(kafka, sink, notes)
    [letter] = read_topics(kafka)
    assert notes.done == {"good", "bad", "fine"}
    assert letter.key == b"default:bad"
    assert b'"item_id":"bad"' in (letter.value or b"")
    assert (letter.code, letter.topic, letter.headers["ce_type"]) == (
        Code.IMAGE_MISSING,
        CATALOG_ITEMS,
        b"lookstream.item.deleted/1",
    )
    assert notes.failed == [(letter.position, Code.IMAGE_MISSING)]


def test_an_unreadable_record_is_dead_lettered_with_its_bytes(kafka: KafkaSettings, sink: EventSink) -> None:
    sink.send_record(OutgoingRecord(CATALOG_ITEMS, b"default:x", b"\xff not json", {"mine": b"kept"}))
    send(sink, "good")
    notes = Notes()
    run_until_idle(kafka, sink, notes)
    [letter] = read_topics(kafka)
    assert notes.done == {"good"}
    assert (letter.value, letter.code, letter.headers) == (
        b"\xff not json",
        Code.EVENT_UNREADABLE,
        {"mine": b"kept"},
    )


def test_a_tombstone_is_an_event_too(kafka: KafkaSettings, sink: EventSink) -> None:
    sink.send_record(OutgoingRecord(CATALOG_ITEMS, b"default:gone", None, {}))
    sink.flush()
    notes = Notes()
    run_until_idle(kafka, sink, notes)
    assert notes.done == {"gone"}


def test_what_can_wait_is_done_in_turns_in_which_nothing_came(kafka: KafkaSettings, sink: EventSink) -> None:
    send(sink, *"abc")
    notes = Notes()
    run_until_idle(kafka, sink, notes)
    assert notes.done == set("abc")
    assert notes.idled[-1] == len(notes.handled)


def test_while_the_index_is_away_the_batch_is_held_and_then_done(kafka: KafkaSettings, sink: EventSink) -> None:
    send(sink, "a")
    notes = Notes(away=2)
    run_until_idle(kafka, sink, notes)
    assert notes.handled == [["a"], ["a"], ["a"]]
    assert list(read_topics(kafka)) == []


def test_what_stays_away_for_too_long_ends_the_worker_with_its_name_and_the_next_one_does_the_batch(
    kafka: KafkaSettings, sink: EventSink
) -> None:
    send(sink, "a")
    with pytest.raises(BatchOverdue, match="could not be processed: the index is away, for the test"):
        run_until_idle(kafka, sink, Notes(away=1_000), Setting(pauses=Retry(0.5, first_pause=0.05)))
    notes = Notes()
    run_until_idle(kafka, sink, notes)
    assert notes.done == {"a"}


def test_a_worker_that_is_stopped_while_holding_commits_nothing(kafka: KafkaSettings, sink: EventSink) -> None:
    send(sink, "a")
    source, stop = EventSource(kafka, "workers", [CATALOG_ITEMS]), ShutdownSignal()

    @dataclass
    class Stopping(Notes):
        def handle(self, events: Sequence[Event]) -> Mapping[str, Failure]:
            stop.stop_now()
            raise Unavailable("away, for the test")

    make_worker(source, sink, Stopping()).run(stop)
    source.close()
    notes = Notes()
    run_until_idle(kafka, sink, notes)
    assert notes.done == {"a"}


def test_a_worker_keeps_its_partitions_while_a_batch_takes_longer_than_the_poll_interval(
    kafka: KafkaSettings, sink: EventSink
) -> None:
    hasty = kafka.model_copy(update={"max_poll_ms": 1_000})
    send(sink, "a", "b")

    @dataclass
    class Slow(Notes):
        def handle(self, events: Sequence[Event]) -> Mapping[str, Failure]:
            time.sleep(2)
            return super().handle(events)

    notes = Slow()
    run_until_idle(hasty, sink, notes)
    assert sorted(item for batch in notes.handled for item in batch) == ["a", "b"]


def test_what_was_not_committed_yet_is_done_again_by_the_next_worker(
    kafka: KafkaSettings, sink: EventSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(sink, "a")
    first, second = Notes(), Notes()
    with monkeypatch.context() as killed:
        killed.setattr(AtLeastOnceCommit, "commit", lambda *_: None)  # as if killed between the work and its commit
        run_until_idle(kafka, sink, first)
    run_until_idle(kafka, sink, second)
    assert (first.done, second.done) == ({"a"}, {"a"})


def test_many_small_batches_are_committed_together(kafka: KafkaSettings, sink: EventSink) -> None:
    send(sink, *(str(n) for n in range(40)))
    notes = Notes()
    run_until_idle(kafka, sink, notes, Setting(BatchSize(4, 0.05), commit_seconds=60))
    assert len(notes.handled) >= 10
    assert notes.prunes == 1


def test_two_workers_share_the_partitions_and_nothing_is_missed(kafka: KafkaSettings, sink: EventSink) -> None:
    sources = [EventSource(kafka, "workers", [CATALOG_ITEMS]) for _ in range(2)]
    notes = [Notes(), Notes()]
    small = Setting(BatchSize(4, 0.01))
    workers = [make_worker(s, sink, n, small) for s, n in zip(sources, notes, strict=True)]
    items = [str(n) for n in range(60)]
    send(sink, *items)
    until = time.monotonic() + 30
    while notes[0].done | notes[1].done != set(items) and time.monotonic() < until:
        for worker in workers:
            worker.step(ShutdownSignal())
    for source in sources:
        source.close()
    assert notes[0].done | notes[1].done == set(items)


def test_a_tenant_that_floods_is_set_aside_and_the_others_are_processed(
    kafka: KafkaSettings, sink: EventSink
) -> None:
    flood, others = [f"bad-{n}" for n in range(20)], ["a", "b"]
    for item in flood:
        body = ItemDeleted(tenant="flood", item_id=item, revision=1)
        sink.send(CATALOG_ITEMS, f"flood:{item}", Event(body), partition=0)
    send(sink, *others)
    notes = Notes(handle_expired=set(flood))
    setting = Setting(BatchSize(1, 0), limit=DeadLetterLimit(5, 1.0), delays={"600s": 600.0})
    run_until_idle(kafka, sink, notes, setting)
    waiting = list(read_to_end(kafka, [retry_topic(CATALOG_ITEMS, "600s")]))
    assert notes.done == {*flood[:5], *others}
    assert [letter.key for letter in read_topics(kafka)] == [f"flood:{item}".encode() for item in flood[:5]]
    assert [record.key for record in waiting] == [f"flood:{item}".encode() for item in flood[5:]]
    assert {record.headers["retry-attempts"] for record in waiting} == {b"0"}


class SimulatedKill(BaseException):
    """Simulates kill -9: nothing after it runs."""


@dataclass
class CrashingHandler(Notes):
    """A handler that dies of an item."""

    def handle(self, events: Sequence[Event]) -> Mapping[str, Failure]:
        if "c" in map(item_of, events):
            raise SimulatedKill
        return super().handle(events)


def parse_and_crash(records: Sequence[Record]) -> list[ParsedRecord]:
    """Parse records; die of the same item."""
    if any(record.key == b"default:c" for record in records):
        raise SimulatedKill
    return parse(records)


def test_what_cannot_be_made_durable_for_too_long_ends_the_worker_and_is_done_again(
    kafka: KafkaSettings, sink: EventSink
) -> None:
    @dataclass
    class NoCleanup(Notes):
        def keep(self) -> None:
            raise Unavailable("the disk is full, for the test")

    send(sink, "a")
    setting = Setting(commit_seconds=0.3, pauses=Retry(1))  # most turns lie between two attempts
    with (
        closing(EventSource(kafka, "workers", [CATALOG_ITEMS])) as source,
        pytest.raises(BatchOverdue, match="the work could not continue: the disk is full"),
    ):
        make_worker(source, sink, NoCleanup(), setting).run(ShutdownSignal())
    after = Notes()
    run_until_idle(kafka, sink, after)
    assert after.handled == [["a"]]


def test_what_is_behind_a_part_that_was_given_up_is_not_done_before_it(
    kafka: KafkaSettings, sink: EventSink, tmp_path: Path
) -> None:
    """Two records are suspects, so each is a part of its own; the worker is stopped while the first one waits."""
    send(sink, *"cd", partition=0)
    both = Setting(BatchSize(2, 5.0), ledger=tmp_path / "attempts")
    with pytest.raises(SimulatedKill):
        run_until_idle(kafka, sink, CrashingHandler(), both)
    source, stop = EventSource(kafka, "workers", [CATALOG_ITEMS]), ShutdownSignal()

    @dataclass
    class NoFetch(Notes):
        def already_processed(self, _record: Record) -> bool:
            stop.stop_now()
            raise Unavailable("the broker is away, for the test")

    given_up, after = NoFetch(), Notes()
    make_worker(source, sink, given_up, both).run(stop)
    source.close()
    run_until_idle(kafka, sink, after, both)
    assert (given_up.handled, after.handled) == ([], [["c"], ["d"]])


def test_a_record_that_kills_the_worker_after_it_was_deferred_with_others_is_found_too(
    kafka: KafkaSettings, sink: EventSink, tmp_path: Path
) -> None:
    send(sink, *"bcd", partition=0)

    @dataclass
    class Deferring(CrashingHandler):
        met: set[str] = field(default_factory=set)

        def deferred_ids(self, events: Sequence[Event]) -> set[str]:
            new = {event.id for event in events} - self.met
            self.met |= new
            return new

    done, lives = set[str](), 0
    while lives < 10 and done != set("bd"):
        lives, notes = lives + 1, Deferring()
        with suppress(SimulatedKill):
            run_until_idle(kafka, sink, notes, Setting(BatchSize(3, 5.0), ledger=tmp_path / "attempts"))
        done |= notes.done
    assert [(letter.key, letter.code) for letter in read_topics(kafka)] == [(b"default:c", Code.WORKER_KILLED)]
    assert (done, lives) == (set("bd"), 5)


@pytest.mark.parametrize("dies_reading", [False, True])
def test_a_record_that_keeps_killing_the_worker_is_dead_lettered_and_the_others_are_done(
    kafka: KafkaSettings, sink: EventSink, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dies_reading: bool
) -> None:
    send(sink, *"abcd")
    if dies_reading:
        monkeypatch.setattr(batch_processor, "parse", parse_and_crash)
    notes, lives = Notes() if dies_reading else CrashingHandler(), 0
    while lives < 10:
        lives += 1
        try:
            run_until_idle(kafka, sink, notes, Setting(ledger=tmp_path / "attempts"))
        except SimulatedKill:
            continue
        break
    [letter] = read_topics(kafka)
    assert notes.done == set("abd")
    assert (letter.key, letter.code) == (b"default:c", Code.WORKER_KILLED)
    assert lives == 5  # once among others, three times alone, and once to set it aside
