"""Exactly once, over a real broker: with a worker that dies in a transaction, each request has one answer."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

from consumers.runtime.batch_processor import BatchProcessor
from consumers.runtime.commit import GatheringSink, TransactionalCommit
from consumers.runtime.crash_ledger import CrashLedger
from consumers.runtime.dead_letter_limit import Unlimited
from consumers.runtime.failure_router import FailureRouter
from consumers.runtime.loop import BatchSize, WorkerLoop
from consumers.runtime.shutdown import ShutdownSignal
from consumers.searching.reply_deduplication import ReplyDeduplicator, read_answered_ids
from infra.config.kafka import KafkaSettings
from infra.kafka import EventSink, EventSource, Record, TopicReader, TransactionSink
from infra.observability.heartbeat import HeartbeatFile
from schemas.envelope import CORRELATION_ID, Event
from schemas.failures import Failure, Unavailable
from schemas.results import SearchResult
from schemas.searches import SearchRequest
from schemas.topics import SEARCH_REQUESTS, SEARCH_RESULTS
from tests.consumers.runtime.handlers import FunctionHandler

IDS = [f"q{n}" for n in range(6)]


class SimulatedKill(BaseException):
    """Simulates kill -9: nothing after it runs."""


@dataclass
class RunQueryWorker:
    """Answers every request, through a sink."""

    sink: GatheringSink
    handled: list[str] = field(default_factory=list)

    def handle(self, events: Sequence[Event]) -> Mapping[str, Failure]:
        for event in events:
            assert isinstance(event.body, SearchRequest)
            name = event.body.request_id
            self.handled.append(name)
            result = SearchResult(request_id=name, status="no_match")
            answer = Event(result, extra={CORRELATION_ID: name}, position=event.position)
            self.sink.send(SEARCH_RESULTS, name, answer)
        return {}

    def report(self, record: Record, event: Event | None, failure: Failure) -> None:
        raise AssertionError("nothing fails here")


class DiesBeforeCommit(TransactionSink):
    """Sends all records, and dies before the commit."""

    def _step(self, step: Callable[[], None]) -> None:
        self._sink.flush()
        raise SimulatedKill


@dataclass
class QueryWorker:
    """A query worker of the tests: its handler answers, unless another is given."""

    kafka: KafkaSettings
    ledger: Path | None = None
    transactions: type[TransactionSink] = TransactionSink
    make_handler: Callable[[RunQueryWorker], FunctionHandler] = lambda run_query_worker: FunctionHandler(
        run_query_worker.handle
    )
    size: BatchSize = field(default_factory=lambda: BatchSize(16, 0.05))
    name: str = "queries-0"

    def run(
        self, shutdown: ShutdownSignal | None = None, run_query_worker: RunQueryWorker | None = None
    ) -> list[str]:
        """Work until it is stopped, dies or nothing more comes; the ids of the answered requests."""
        with (
            closing(EventSource(self.kafka, "queries", [SEARCH_REQUESTS])) as source,
            closing(self.transactions(self.kafka, self.name)) as transactions,
        ):
            gathering = GatheringSink()
            run_query_worker = run_query_worker or RunQueryWorker(gathering)
            run_query_worker.sink = gathering
            strategy = TransactionalCommit(source, gathering, transactions)
            router = FailureRouter(gathering, run_query_worker.report, Unlimited(), delays={})
            handler = self.make_handler(run_query_worker)
            processor = BatchProcessor(handler, router, strategy, CrashLedger(self.ledger))
            worker = WorkerLoop(source, processor, strategy, self.size, HeartbeatFile(None))
            worker.run(shutdown or ShutdownSignal(when_idle=True), 0.5)
            return run_query_worker.handled


def looked_up(kafka: KafkaSettings, run_query_worker: RunQueryWorker) -> FunctionHandler:
    """A handler that looks up what others have answered, as the query worker does."""
    answered = ReplyDeduplicator(partial(read_answered_ids, kafka), round(time.time() * 1000))
    return FunctionHandler(run_query_worker.handle, find_done=answered.is_answered)


def ask(kafka: KafkaSettings, names: Sequence[str], partition: int | None = None) -> None:
    """Send requests, of their own partitions or of one."""
    with closing(EventSink(kafka)) as sink:
        for name in names:
            request = SearchRequest(request_id=name, item_id="any")
            sink.send(SEARCH_REQUESTS, name, Event(request, extra={CORRELATION_ID: name}), partition)
        sink.flush()


def test_a_worker_that_cannot_look_up_what_was_answered_holds_its_batch_until_it_can(kafka: KafkaSettings) -> None:
    """The broker may go away just when a restarted worker asks what the one before it had done."""
    ask(kafka, ["q0"])
    questions: list[str] = []

    def find_done(record: Record) -> bool:
        questions.append(record.position)
        if len(questions) < 3:
            raise Unavailable("the broker is away, for the test")
        return False

    worker = QueryWorker(
        kafka, make_handler=lambda run_query_worker: FunctionHandler(run_query_worker.handle, find_done=find_done)
    )
    assert worker.run() == ["q0"]
    assert len(questions) == 3
    assert answers(kafka) == ["q0"]


def test_what_is_expired_is_answered_before_the_others_are_worked_on(kafka: KafkaSettings) -> None:
    """They lie in one partition; the first four are expired."""
    ask(kafka, IDS, partition=0)
    visible: list[list[str]] = []

    def find_expired(events: Sequence[Event]) -> set[str]:
        return {e.id for e in events if isinstance(e.body, SearchRequest) and e.body.request_id in IDS[:4]}

    def make(run_query_worker: RunQueryWorker) -> FunctionHandler:
        def work(events: Sequence[Event]) -> Mapping[str, Failure]:
            if len(run_query_worker.handled) == 4:
                wait_for(lambda: answers(kafka) == IDS[:4])  # they were committed meanwhile
                visible.append(answers(kafka))
            return run_query_worker.handle(events)

        return FunctionHandler(work, find_expired=find_expired)

    assert QueryWorker(kafka, make_handler=make, size=BatchSize(16, 0.5)).run() == IDS
    assert visible == [IDS[:4]]
    assert answers(kafka) == IDS
    assert QueryWorker(kafka).run() == []


def test_a_waiting_search_delays_no_other_and_is_answered_once(kafka: KafkaSettings) -> None:
    ask(kafka, IDS, partition=0)
    waiting = {IDS[0]}

    def find_deferred(events: Sequence[Event]) -> set[str]:
        if answers(kafka) == IDS[1:]:
            waiting.clear()
        return {e.id for e in events if isinstance(e.body, SearchRequest) and e.body.request_id in waiting}

    def make(run_query_worker: RunQueryWorker) -> FunctionHandler:
        return FunctionHandler(run_query_worker.handle, find_deferred=find_deferred)

    assert QueryWorker(kafka, make_handler=make).run() == [*IDS[1:], IDS[0]]
    assert answers(kafka) == IDS
    assert QueryWorker(kafka).run() == []


def test_what_was_answered_behind_one_that_waits_is_not_answered_by_the_next_owner(kafka: KafkaSettings) -> None:
    """The first worker dies while one search waits; the offset that it has committed is that of this search."""
    ask(kafka, IDS, partition=0)

    def find_deferred(events: Sequence[Event]) -> set[str]:
        if answers(kafka) == IDS[1:]:
            raise SimulatedKill
        return {e.id for e in events if isinstance(e.body, SearchRequest) and e.body.request_id == IDS[0]}

    def make(run_query_worker: RunQueryWorker) -> FunctionHandler:
        return FunctionHandler(run_query_worker.handle, find_deferred=find_deferred)

    with pytest.raises(SimulatedKill):
        QueryWorker(kafka, make_handler=make).run()
    # The local broker keeps no notes of transactions (Tansu 0.6.0): there the answers are looked up.
    assert QueryWorker(kafka, make_handler=partial(looked_up, kafka)).run() == [IDS[0]]
    assert answers(kafka) == IDS


def answers(kafka: KafkaSettings) -> list[str]:
    """The ids of the requests whose answers readers see."""
    found = []
    with closing(TopicReader(kafka, SEARCH_RESULTS)) as reader:
        reader.rewind()
        while (record := reader.poll(1.0)) is not None:
            found.append((record.key or b"").decode())
    return sorted(found)


def test_a_worker_killed_between_its_answers_and_its_commit_leaves_one_answer_each(
    kafka: KafkaSettings, tmp_path: Path
) -> None:
    ask(kafka, IDS)
    ledger = tmp_path / "attempts"
    look_up = partial(looked_up, kafka)
    with pytest.raises(SimulatedKill):
        QueryWorker(kafka, ledger, DiesBeforeCommit, look_up).run()
    with suppress(SimulatedKill):  # the local broker shows what was undone, and then there is nothing left to do
        QueryWorker(kafka, ledger, DiesBeforeCommit, look_up).run()
    QueryWorker(kafka, ledger, make_handler=look_up).run()
    assert answers(kafka) == IDS
    assert QueryWorker(kafka, ledger, make_handler=look_up).run() == []


def test_each_request_is_answered_once_while_workers_come_and_go_in_the_middle_of_batches(
    kafka: KafkaSettings,
) -> None:
    names = [f"r{n:03}" for n in range(120)]
    ask(kafka, names)
    member = kafka.model_copy(update={"session_timeout_ms": 6_000})

    def make(run_query_worker: RunQueryWorker) -> FunctionHandler:
        def work(events: Sequence[Event]) -> Mapping[str, Failure]:
            time.sleep(0.2)  # long enough for a rebalance to come in between
            return run_query_worker.handle(events)

        return FunctionHandler(work)

    workers = [
        QueryWorker(
            member.model_copy(update={"static_member": f"m{n}" if n % 2 else None}),
            make_handler=make, size=BatchSize(4, 0), name=f"queries-{n}",
        )
        for n in range(4)
    ]  # fmt: skip
    run_query_worker = [RunQueryWorker(GatheringSink()) for _ in workers]
    signals = [ShutdownSignal() for _ in workers]
    with ThreadPoolExecutor(4) as pool:
        runs = []
        for worker, handler, signal in zip(workers, run_query_worker, signals, strict=True):
            runs.append(pool.submit(worker.run, signal, handler))
            answered_before = set(answers(kafka))
            wait_for(partial(has_more_than, kafka, answered_before, len(names)))
            if worker is workers[1]:
                signals[0].stop_now()
        wait_for(lambda: set(answers(kafka)) == set(names))
        for signal in signals:
            signal.stop_now()
        for run in runs:
            run.result()
    assert answers(kafka) == names


def has_more_than(kafka: KafkaSettings, answered_before: Collection[str], everything: int) -> bool:
    """Whether there are other answers than these, or there is nothing more to come."""
    return len(answered_before) == everything or bool(set(answers(kafka)) - set(answered_before))


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)
