"""Transactions over a real broker: all or nothing; of two producers with one name only the newer one works."""

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from confluent_kafka import KafkaException

from infra.config.kafka import KafkaSettings
from infra.kafka import (
    Batch,
    EventSink,
    EventSource,
    OutcomeUnknown,
    OutgoingRecord,
    PartitionsRevoked,
    TopicReader,
    TransactionSink,
    record_of_event,
)
from schemas.envelope import Event
from schemas.failures import Unavailable
from schemas.items import ItemDeleted
from schemas.topics import SEARCH_REQUESTS, SEARCH_RESULTS
from tests.kafka.apache import wait_for
from tests.kafka.brokers import Broker


def answer(name: str) -> OutgoingRecord:
    return record_of_event(SEARCH_RESULTS, name, Event(ItemDeleted(item_id=name, revision=1)))


def results(kafka: KafkaSettings) -> list[str]:
    """What readers of the results see now."""
    with closing(TopicReader(kafka, SEARCH_RESULTS)) as reader:
        reader.rewind()
        found = []
        while (record := reader.poll(1.0)) is not None:
            found.append((record.key or b"").decode())
    return found


def requests(kafka: KafkaSettings, count: int) -> None:
    with closing(EventSink(kafka)) as sink:
        for n in range(count):
            sink.send(SEARCH_REQUESTS, "one-key", Event(ItemDeleted(item_id=str(n), revision=1)))
        sink.flush()


def take(source: EventSource, count: int) -> Batch:
    batch = Batch()
    while len(batch.records) < count:
        batch = batch + source.poll_batch(count - len(batch.records), 0.05)
    return batch


def commit(transactions: TransactionSink, source: EventSource, batch: Batch, names: Sequence[str]) -> None:
    offsets = source.offsets_to_commit(batch)
    transactions.commit([answer(name) for name in names], offsets, source.group_metadata)
    source.mark_finished(batch)
    source.mark_committed(offsets)


def commit_late(
    transactions: TransactionSink, source: EventSource, batch: Batch, name: str, pauses: Iterator[float]
) -> None:
    """The same, but the transaction stays open for a while."""
    offsets = source.offsets_to_commit(batch)

    def metadata() -> object:
        time.sleep(next(pauses, 0.0))
        return source.group_metadata()

    transactions.commit([answer(name)], offsets, metadata)
    source.mark_finished(batch)
    source.mark_committed(offsets)


def clients() -> int:
    """How many clients of librdkafka this process has: each has one thread of this name."""
    return sum(_name_of(task) == "rdk:main" for task in Path("/proc/self/task").iterdir())


def _name_of(task: Path) -> str:
    try:
        return (task / "comm").read_text().strip()
    except FileNotFoundError:  # it has ended since it was listed
        return ""


def until_it_works(step: Callable[[], None], source: EventSource, seconds: float = 60) -> None:
    """Do a step as the loop does: again, while the broker is away or the group has moved on."""
    until = time.monotonic() + seconds
    while True:
        try:
            return step()
        except (Unavailable, PartitionsRevoked):
            assert time.monotonic() < until
            source.prefetch()


def test_results_and_offsets_become_visible_together(kafka: KafkaSettings) -> None:
    requests(kafka, 3)
    with (
        closing(EventSource(kafka, "g", [SEARCH_REQUESTS])) as source,
        closing(TransactionSink(kafka, "t")) as transactions,
    ):
        batch = take(source, 3)
        commit(transactions, source, batch.only(batch.records[:2]), ["a", "b"])
        assert results(kafka) == ["a", "b"]
    with closing(EventSource(kafka, "g", [SEARCH_REQUESTS])) as successor:
        assert [record.offset for record in take(successor, 1).records] == [2]


def test_an_older_worker_of_the_same_name_looks_twice_and_then_ends(kafka: KafkaSettings) -> None:
    """The first time it takes a new producer: the word of the broker may be about its own past."""
    requests(kafka, 2)
    with closing(EventSource(kafka, "g", [SEARCH_REQUESTS])) as source:
        older = TransactionSink(kafka, "t")
        batch = take(source, 2)
        first, second = (batch.only([record]) for record in batch.records)
        with closing(TransactionSink(kafka, "t")) as younger:
            with pytest.raises((Unavailable, OutcomeUnknown)):
                commit(older, source, first, ["from the fenced one"])
            until_it_works(lambda: commit(older, source, first, ["older"]), source)
            with pytest.raises((Unavailable, OutcomeUnknown)):
                commit(younger, source, second, ["from the fenced one"])
        older.close()
    assert "from the fenced one" not in results(kafka)
    assert results(kafka).count("older") == 1


def test_an_older_worker_of_the_same_name_closes_without_an_error_of_the_client(kafka: KafkaSettings) -> None:
    older = TransactionSink(kafka, "closed")
    older._sink.producer.begin_transaction()
    older._sink.send_record(answer("older"))
    with closing(TransactionSink(kafka, "closed")):
        with pytest.raises(KafkaException):
            older._sink.producer.commit_transaction(5)
        older.close()


def test_a_transaction_that_the_broker_has_ended_is_done_again_however_often(
    kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The broker says "fenced"; the second time that would be taken for a twin, if the time were not over."""
    monkeypatch.setattr("infra.kafka.transactions.TRANSACTION_MS", (1_000, 1_000))
    requests(kafka, 3)
    with (
        closing(EventSource(kafka, "g", [SEARCH_REQUESTS])) as source,
        closing(TransactionSink(kafka, "t")) as transactions,
    ):
        batch, before = take(source, 3), clients()
        for number, record in enumerate(batch.records):
            only, pauses = batch.only([record]), iter([2.0])
            until_it_works(partial(commit_late, transactions, source, only, str(number), pauses), source)
        wait_for(lambda: clients() == before, "the producers that were replaced to be gone, with their threads")
    assert sorted(results(kafka)) == ["0", "1", "2"]


@pytest.mark.parametrize(("patience", "deadline"), [(1.0, 600.0), (600.0, 1.0)])
def test_a_transaction_that_met_a_frozen_broker_is_done_once_when_it_is_back(
    broker: Broker, kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch, patience: float, deadline: float
) -> None:
    monkeypatch.setattr("infra.kafka.config.REQUEST_MS", 1_500)
    monkeypatch.setattr("infra.kafka.transactions.TRANSACTION_MS", (2_000, 2_000))
    requests(kafka, 1)
    with (
        closing(EventSource(kafka, "g", [SEARCH_REQUESTS])) as source,
        closing(TransactionSink(kafka, "t")) as transactions,
    ):
        batch = take(source, 1)
        # Only now: beside other tests a first start may take longer.
        monkeypatch.setattr("infra.kafka.transactions.START_SECONDS", patience)
        monkeypatch.setattr(transactions, "_answer_seconds", patience)
        broker.process.send_signal(signal.SIGSTOP)
        os.waitpid(broker.process.pid, os.WUNTRACED)  # until it has really stopped: it may be at something
        began = time.monotonic()
        with pytest.raises((Unavailable, OutcomeUnknown)), transactions.deadline(deadline):
            commit(transactions, source, batch, ["once"])
        assert time.monotonic() - began < 60, "it has waited for the shorter of the two"
        broker.process.send_signal(signal.SIGCONT)

        def again() -> None:
            if owned := source.filter_owned(batch).records:
                commit(transactions, source, batch.only(owned), ["once"])

        until_it_works(again, source)
        owned = bool(source.filter_owned(batch).records)
    assert results(kafka) == (["once"] if owned else [])


def test_an_answer_that_kafka_refuses_is_sent_as_its_fallback(kafka: KafkaSettings) -> None:
    requests(kafka, 1)
    short = kafka.model_copy(update={"record_bytes": 100_000})
    with (
        closing(EventSource(kafka, "g", [SEARCH_REQUESTS])) as source,
        closing(TransactionSink(short, "t")) as transactions,
    ):
        batch = take(source, 1)
        too_large = OutgoingRecord(SEARCH_RESULTS, b"huge", b"x" * 200_000, fallback=answer("short"))
        nowhere = OutgoingRecord(SEARCH_RESULTS, b"lost", b"x", partition=4_000, fallback=answer("there"))
        transactions.commit(
            [too_large, nowhere, answer("fine")], source.offsets_to_commit(batch), source.group_metadata
        )
    assert sorted(results(kafka)) == ["fine", "short", "there"]
