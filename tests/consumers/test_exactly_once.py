"""Exactly once, over a real broker: a worker that dies in the middle of a transaction leaves one answer each."""

import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

from consumers.answered import Answered, for_whom
from consumers.attempts import Attempts
from consumers.delivery import Batch, ExactlyOnce
from consumers.hands import Hands, Job, Stop
from consumers.settle import Settler
from consumers.valve import OpenValve
from consumers.worker import Batches, Worker
from infra.health import Heartbeat
from infra.kafka import EventSink, EventSource, Record, TopicReader, TransactionSink
from infra.settings import Kafka
from schemas.envelope import CORRELATION_ID, Event
from schemas.failures import Failure, Unavailable
from schemas.results import SearchResult
from schemas.searches import SearchRequest
from schemas.topics import SEARCH_REQUESTS, SEARCH_RESULTS

IDS = [f"q{n}" for n in range(6)]


class Killed(BaseException):
    """Stands for kill -9: nothing after it runs."""


@dataclass
class Answering:
    """Answers every request, through a sink."""

    sink: TransactionSink
    asked: list[str] = field(default_factory=list)

    def handle(self, events: Sequence[Event]) -> Mapping[str, Failure]:
        for event in events:
            assert isinstance(event.body, SearchRequest)
            name = event.body.request_id
            self.asked.append(name)
            answer = Event(SearchResult(request_id=name, status="no_match"), extra={CORRELATION_ID: name})
            self.sink.send(SEARCH_RESULTS, name, answer)
        return {}

    def tell(self, record: Record, event: Event | None, failure: Failure) -> None:
        raise AssertionError("nothing fails here")


class DiesBeforeCommit(ExactlyOnce):
    """Sends everything, and dies before it can say that it is done."""

    sink: TransactionSink

    def finish(self, batch: Batch) -> None:
        self.sink.arrive()
        raise Killed


def run(kafka: Kafka, ledger: Path, kind: type[ExactlyOnce] = ExactlyOnce) -> list[str]:
    """A query worker until it dies or nothing more comes; whom it has answered."""
    with (
        closing(EventSource(kafka, "queries", [SEARCH_REQUESTS])) as source,
        closing(TransactionSink(kafka, "queries-0")) as sink,
    ):
        job, delivery = Answering(sink), kind(source, sink)
        delivery.sink = sink  # type: ignore[attr-defined]
        settler = Settler(sink, job.tell, OpenValve(), delays={})
        answered = Answered(partial(for_whom, kafka), round(time.time() * 1000))
        hands = Hands(Job(job.handle, was_done=answered.has), settler, delivery, Attempts(ledger))
        Worker(source, hands, delivery, Batches(16, 0.05), Heartbeat(None)).run(Stop(when_idle=True), 0.5)
        return job.asked


def test_a_worker_that_cannot_look_up_what_was_answered_holds_its_batch_until_it_can(kafka: Kafka) -> None:
    """The broker may go away just when a restarted worker asks what the one before it had done."""
    with closing(EventSink(kafka)) as asking:
        asking.send(SEARCH_REQUESTS, "q0", Event(SearchRequest(request_id="q0", item_id="any")))
        asking.flush()
    asked: list[str] = []

    def was_done(record: Record) -> bool:
        asked.append(record.position)
        if len(asked) < 3:
            raise Unavailable("the broker is away, for the test")
        return False

    with (
        closing(EventSource(kafka, "queries", [SEARCH_REQUESTS])) as source,
        closing(TransactionSink(kafka, "queries-0")) as sink,
    ):
        job, delivery = Answering(sink), ExactlyOnce(source, sink)
        hands = Hands(
            Job(job.handle, was_done=was_done),
            Settler(sink, job.tell, OpenValve(), delays={}),
            delivery,
            Attempts(None),
        )
        Worker(source, hands, delivery, Batches(16, 0.05), Heartbeat(None)).run(Stop(when_idle=True), 0.5)
    assert len(asked) == 3
    assert job.asked == ["q0"]
    assert answers(kafka) == ["q0"]


def test_what_is_hopeless_is_answered_before_the_others_are_worked_on(kafka: Kafka, tmp_path: Path) -> None:
    """With one key they lie in one partition; the first four are hopeless."""
    seen: list[list[str]] = []
    with closing(EventSink(kafka)) as asking:
        for name in IDS:
            request = SearchRequest(request_id=name, item_id="any")
            asking.send(SEARCH_REQUESTS, name, Event(request, extra={CORRELATION_ID: name}), partition=0)
        asking.flush()
    with (
        closing(EventSource(kafka, "queries", [SEARCH_REQUESTS])) as source,
        closing(TransactionSink(kafka, "queries-0")) as sink,
    ):
        answering = Answering(sink)

        def handle(events: Sequence[Event]) -> Mapping[str, Failure]:
            seen.append(answers(kafka))
            return answering.handle(events)

        def hopeless(events: Sequence[Event]) -> set[str]:
            return {e.id for e in events if isinstance(e.body, SearchRequest) and e.body.request_id in IDS[:4]}

        settler = Settler(sink, answering.tell, OpenValve(), delays={})
        job = Job(handle, hopeless=hopeless, refuse=answering.handle)
        hands = Hands(job, settler, ExactlyOnce(source, sink), Attempts(None))
        Worker(source, hands, ExactlyOnce(source, sink), Batches(16, 0.5), Heartbeat(None)).run(
            Stop(when_idle=True), 0.5
        )
    assert seen == [IDS[:4]]
    assert answering.asked == IDS
    assert answers(kafka) == IDS
    assert run(kafka, tmp_path / "attempts") == []


def answers(kafka: Kafka) -> list[str]:
    """Whom readers see answers for."""
    found = []
    with closing(TopicReader(kafka, SEARCH_RESULTS)) as reader:
        reader.rewind()
        while (record := reader.poll(1.0)) is not None:
            found.append((record.key or b"").decode())
    return sorted(found)


def test_a_worker_killed_between_its_answers_and_its_commit_leaves_one_answer_each(
    kafka: Kafka, tmp_path: Path
) -> None:
    with closing(EventSink(kafka)) as sink:
        for name in IDS:
            request = SearchRequest(request_id=name, item_id="any")
            sink.send(SEARCH_REQUESTS, name, Event(request, extra={CORRELATION_ID: name}))
        sink.flush()
    ledger = tmp_path / "attempts"
    for _ in range(2):
        with pytest.raises(Killed):
            run(kafka, ledger, DiesBeforeCommit)
    run(kafka, ledger)
    assert answers(kafka) == IDS
    assert run(kafka, ledger) == []
