"""Lookahead: each next record is prepared once, and no batch waits for the preparation."""

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import cast

from structlog.testing import capture_logs

from consumers.runtime.batch_processor import BatchProcessor, BatchWork
from consumers.runtime.commit import AtLeastOnceCommit
from consumers.runtime.crash_ledger import CrashLedger
from consumers.runtime.dead_letter_limit import Unlimited
from consumers.runtime.failure_router import FailureRouter
from consumers.runtime.lookahead import LookAhead
from consumers.runtime.loop import BatchSize, WorkerLoop
from consumers.runtime.shutdown import ShutdownSignal
from infra.config.kafka import KafkaSettings
from infra.kafka import Batch, EventSink, EventSource, OutgoingRecord, Record
from infra.observability.heartbeat import HeartbeatFile
from schemas.envelope import Event, to_bytes
from schemas.failures import Failure, Unavailable
from schemas.items import ItemDeleted
from schemas.topics import CATALOG_ITEMS
from tests.consumers.indexer_harness import open_indexer, open_shard
from tests.consumers.item_histories import stored_file, upsert
from tests.consumers.runtime.handlers import FunctionHandler


def records(*numbers: int) -> list[Record]:
    bodies = {n: ItemDeleted(item_id=f"i{n}", revision=1) for n in numbers}
    return [Record(CATALOG_ITEMS, 0, n, f"default:i{n}".encode(), to_bytes(body)) for n, body in bodies.items()]


def items_of(events: Sequence[Event]) -> list[str]:
    return [event.body.item_id for event in events if isinstance(event.body, ItemDeleted)]


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.005)


class SentEvents:
    """A sink that records events."""

    def __init__(self) -> None:
        self.records: list[OutgoingRecord] = []

    def send(self, topic: str, key: str, event: Event, partition: int | None = None) -> None:
        raise AssertionError("nothing is sent here but records")

    def send_record(self, record: OutgoingRecord) -> None:
        self.records.append(record)

    def flush(self) -> None:
        """There is nothing to wait for."""


class RecordingHandler:
    """Records the batches that it prepares."""

    def __init__(self) -> None:
        self.prepared_batches: list[list[str]] = []
        self.go_on = threading.Event()
        self.go_on.set()
        self.error: Exception | None = None

    def prepare(self, events: Sequence[Event]) -> None:
        self.go_on.wait(30)
        self.prepared_batches.append(items_of(events))
        if self.error:
            raise self.error


def look_until(ahead: LookAhead, handler_log: RecordingHandler, upcoming: list[Record], times: int) -> None:
    """Submit the next records until `prepare` was called so many times."""

    def enough() -> bool:
        ahead.submit(lambda: upcoming)
        return len(handler_log.prepared_batches) >= times

    wait_for(enough)


def test_each_record_is_got_ready_once_however_often_it_is_seen() -> None:
    handler_log = RecordingHandler()
    ahead = LookAhead(handler_log.prepare)
    look_until(ahead, handler_log, records(1, 2), 1)
    look_until(ahead, handler_log, records(1, 2, 3), 2)
    look_until(ahead, handler_log, records(3, 4), 3)
    assert handler_log.prepared_batches == [["i1", "i2"], ["i3"], ["i4"]]


def test_nobody_waits_while_something_is_got_ready() -> None:
    handler_log = RecordingHandler()
    handler_log.go_on.clear()
    ahead = LookAhead(handler_log.prepare)
    for number in range(5):
        ahead.submit(lambda number=number: records(number))  # type: ignore[misc]
    assert handler_log.prepared_batches == []
    handler_log.go_on.set()
    look_until(ahead, handler_log, records(9), 2)
    assert handler_log.prepared_batches == [["i0"], ["i9"]]


def test_what_is_away_is_left_to_the_batch_and_a_mistake_of_ours_is_logged() -> None:
    handler_log = RecordingHandler()
    handler_log.error = Unavailable("away, for the test")
    ahead = LookAhead(handler_log.prepare)
    with capture_logs() as logs:
        look_until(ahead, handler_log, records(1), 1)
        look_until(ahead, handler_log, records(2), 2)
        assert logs == []
        handler_log.error = KeyError("a mistake, for the test")
        look_until(ahead, handler_log, records(3), 3)
        look_until(ahead, handler_log, records(4), 4)
    assert [(one["log_level"], one["exc_info"]) for one in logs][:1] == [("error", handler_log.error)]


def test_records_that_cannot_be_read_are_passed_over() -> None:
    handler_log = RecordingHandler()
    unreadable = Record(CATALOG_ITEMS, 0, 7, b"default:i7", b"no JSON")
    look_until(LookAhead(handler_log.prepare), handler_log, [unreadable, *records(8)], 1)
    assert handler_log.prepared_batches == [["i8"]]


def test_the_pictures_that_a_batch_will_need_are_begun_and_those_that_the_index_has_are_not(tmp_path: Path) -> None:
    with closing(open_shard(tmp_path)) as shard:
        harness = open_indexer(shard)
        old = upsert("old", 1, stored_file(b"old", with_checksum=True))
        harness.handle(old)
        same_bytes = upsert("old", 2, stored_file(b"old", with_checksum=True), title="new")
        new, newer = (upsert("new", n, stored_file(b"new-%d" % n, with_checksum=False)) for n in (1, 2))
        harness.job.prepare([old, new, newer, same_bytes])
        assert harness.hash_pictures.begun == [b"new-2"]


def test_a_worker_looks_ahead_while_its_hands_are_busy(kafka: KafkaSettings) -> None:
    handler_log, handled = RecordingHandler(), list[str]()

    def handle(events: Sequence[Event]) -> dict[str, Failure]:
        # The second batch is got ready while the first is worked on, and nothing is after the last.
        wait_for(lambda: len(handled) > 0 or bool(handler_log.prepared_batches))
        handled.extend(items_of(events))
        return {}

    sink = EventSink(kafka)
    for record in records(*range(4)):
        sink.send_record(OutgoingRecord(CATALOG_ITEMS, record.key, record.value, {}, partition=0))
    sink.flush()
    source = EventSource(kafka, "ahead", [CATALOG_ITEMS])
    strategy = AtLeastOnceCommit(source, sink, lambda: None, 0.0)
    router = FailureRouter(sink, lambda *_: None, Unlimited(), delays={})
    processor = BatchProcessor(
        FunctionHandler(handle, get_ready=handler_log.prepare), router, strategy, CrashLedger(None)
    )
    WorkerLoop(source, processor, strategy, BatchSize(2, 0.5), HeartbeatFile(None)).run(
        ShutdownSignal(when_idle=True), 0.3
    )
    source.close()
    sink.close()
    assert handled == ["i0", "i1", "i2", "i3"]
    assert handler_log.prepared_batches[0] == ["i2", "i3"][: len(handler_log.prepared_batches[0])]


def test_nothing_is_got_ready_beside_records_that_may_have_killed_the_worker(tmp_path: Path) -> None:
    """A record that crashes the look-ahead may be any of the next ones; the ledger does not list them meanwhile."""
    suspects, others, ledger = records(0, 1), records(2, 3), tmp_path / "attempts"
    with suppress(KeyboardInterrupt), CrashLedger(ledger).in_progress(suspects):
        raise KeyboardInterrupt  # as at a death the note stays
    handler_log, sent_events = RecordingHandler(), SentEvents()
    strategy = AtLeastOnceCommit(cast(EventSource, None), sent_events, lambda: None, 0.0)
    router = FailureRouter(sent_events, lambda *_: None, Unlimited(), delays={})
    handler = FunctionHandler(lambda _events: {}, get_ready=handler_log.prepare)
    with closing(BatchProcessor(handler, router, strategy, CrashLedger(ledger))) as processor:
        for batch, upcoming in ((suspects, records(8)), (others, records(9))):
            work = BatchWork(Batch(tuple(batch)), (), lambda batch: batch, lambda _: None, ShutdownSignal())
            processor.process(work)
            processor.prepare_upcoming(partial(list, upcoming))
        wait_for(lambda: bool(handler_log.prepared_batches))
    assert handler_log.prepared_batches == [["i9"]]
