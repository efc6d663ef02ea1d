"""The two lanes over a real broker: a waiting record delays no other, and none is lost."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from threading import Thread

import pytest

from consumers.operations.dead_letters.dead_letter import read_topics
from consumers.runtime.batch_processor import BatchProcessor
from consumers.runtime.commit import AtLeastOnceCommit
from consumers.runtime.crash_ledger import CrashLedger
from consumers.runtime.dead_letter_limit import Unlimited
from consumers.runtime.failure_router import FailureRouter
from consumers.runtime.lanes import Lanes
from consumers.runtime.loop import BatchSize, WorkerLoop
from consumers.runtime.retry_headers import due_time
from consumers.runtime.shutdown import ShutdownSignal
from infra.config.kafka import KafkaSettings
from infra.kafka import EventSink, EventSource, Record
from infra.observability.heartbeat import HeartbeatFile
from schemas.envelope import Event
from schemas.failures import Code, Failure, TryLater
from schemas.items import ItemDeleted
from schemas.topics import CATALOG_ITEMS, RETRY_DELAYS, retry_topic
from tests.consumers.runtime.handlers import FunctionHandler

RETRIED = [retry_topic(CATALOG_ITEMS, delay) for delay in RETRY_DELAYS]


@dataclass
class RecordingHandler:
    """A handler whose items fail as often as their id says, and then succeed."""

    failed: dict[str, int] = field(default_factory=dict)
    done: list[str] = field(default_factory=list)
    codes: list[Code] = field(default_factory=list)

    def handle(self, events: Sequence[Event]) -> Mapping[str, Failure]:
        return {event.id: failure for event in events if (failure := self._try(event)) is not None}

    def _try(self, event: Event) -> Failure | None:
        assert isinstance(event.body, ItemDeleted)
        item = event.body.item_id
        times = self.failed[item] = self.failed.get(item, -1) + 1
        if times < int(item.partition("-")[0]):
            return TryLater(Code.IMAGE_TIMEOUT, "slow, for the test")
        self.done.append(item)
        return None

    def note_failure(self, record: Record, event: Event | None, failure: Failure) -> None:
        self.codes.append(failure.code)


@pytest.fixture
def make_lanes(kafka: KafkaSettings) -> Iterator[Callable[..., Lanes]]:
    """Makes lanes with the given delays of their retry topics."""
    with ExitStack() as stack:
        sink = stack.enter_context(closing(EventSink(kafka)))

        def lane(source: EventSource, notes: RecordingHandler, settler: FailureRouter) -> WorkerLoop:
            strategy = AtLeastOnceCommit(source, sink, lambda: None, 0)
            processor = BatchProcessor(FunctionHandler(notes.handle), settler, strategy, CrashLedger(None))
            return WorkerLoop(source, processor, strategy, BatchSize(16, 0.01), HeartbeatFile(None))

        def make(notes: RecordingHandler, delays: Mapping[str, float]) -> Lanes:
            source = stack.enter_context(closing(EventSource(kafka, "live", [CATALOG_ITEMS])))
            later = stack.enter_context(closing(EventSource(kafka, "again", RETRIED, due_time)))
            settler = FailureRouter(sink, notes.note_failure, Unlimited(), delays=delays)
            settler_again = replace(settler)

            def last_call() -> None:
                later.ignore_due_times()
                settler_again.delays = {}

            return Lanes(lane(source, notes, settler), lane(later, notes, settler_again), last_call)

        yield make


def send(kafka: KafkaSettings, *items: str) -> None:
    with closing(EventSink(kafka)) as sink:
        for item in items:
            sink.send(CATALOG_ITEMS, f"default:{item}", Event(ItemDeleted(item_id=item, revision=1)))
        sink.flush()


def test_what_fails_for_a_while_is_done_in_the_end_and_what_never_works_is_dead_lettered(
    kafka: KafkaSettings, make_lanes: Callable[..., Lanes]
) -> None:
    items = ["0-a", "1-b", "2-c", "3-d", "9-never"]
    send(kafka, *items)
    notes, stop = RecordingHandler(), ShutdownSignal()
    lanes = make_lanes(notes, {"5s": 0.1, "60s": 0.2, "600s": 0.3})
    runner = Thread(target=lanes.run, args=(stop,))
    runner.start()
    while not notes.codes or len(notes.done) < 4:
        runner.join(0.05)
    stop.stop_now()
    runner.join(20)
    assert sorted(notes.done) == items[:4]
    assert notes.failed == {item: min(int(item[0]), 3) for item in items}
    [letter] = read_topics(kafka)
    assert (letter.key, letter.code) == (b"default:9-never", Code.IMAGE_TIMEOUT)


def test_a_worker_that_drains_tries_what_waits_once_more_and_leaves_nothing_behind(
    kafka: KafkaSettings, make_lanes: Callable[..., Lanes]
) -> None:
    send(kafka, "0-a", "1-b", "9-never")
    notes = RecordingHandler()
    make_lanes(notes, RETRY_DELAYS).run(ShutdownSignal(when_idle=True), idle_seconds=1.0)
    assert sorted(notes.done) == ["0-a", "1-b"]
    assert [letter.key for letter in read_topics(kafka)] == [b"default:9-never"]


def test_when_one_lane_fails_both_end(kafka: KafkaSettings, make_lanes: Callable[..., Lanes]) -> None:
    send(kafka, "1-b")

    @dataclass
    class BrokenHandler(RecordingHandler):
        def handle(self, events: Sequence[Event]) -> Mapping[str, Failure]:
            if self.failed:
                raise ZeroDivisionError("a bug, for the test")
            return super().handle(events)

    with pytest.raises(ZeroDivisionError):
        make_lanes(BrokenHandler(), {"5s": 0.0}).run(ShutdownSignal())
