"""Transactions over a real broker: all or nothing, and of two with one name only the younger."""

import os
import signal
from collections.abc import Sequence

import pytest

from infra.kafka import EventSink, EventSource, Fenced, Record, TopicReader, TransactionSink
from infra.settings import Kafka
from schemas.envelope import Event
from schemas.failures import Unavailable
from schemas.items import ItemDeleted
from schemas.topics import SEARCH_REQUESTS, SEARCH_RESULTS
from tests.kafka.brokers import Broker


def event(item: str) -> Event:
    return Event(ItemDeleted(item_id=item, revision=1))


def results(kafka: Kafka) -> list[str]:
    """What readers of the results see now."""
    reader = TopicReader(kafka, SEARCH_RESULTS)
    reader.rewind()
    found = []
    while (record := reader.poll(1.0)) is not None:
        found.append((record.key or b"").decode())
    reader.close()
    return found


def requests(kafka: Kafka, count: int) -> None:
    sink = EventSink(kafka)
    for n in range(count):
        sink.send(SEARCH_REQUESTS, "one-key", event(str(n)))
    sink.flush()


def take(source: EventSource, count: int) -> Sequence[Record]:
    records: list[Record] = []
    while len(records) < count:
        records += source.take(count - len(records), 0.05)
    return records


def test_results_and_offsets_become_visible_together(kafka: Kafka) -> None:
    requests(kafka, 3)
    source, sink = EventSource(kafka, "g", [SEARCH_REQUESTS]), TransactionSink(kafka, "t")
    batch = take(source, 3)
    sink.begin()
    sink.send(SEARCH_RESULTS, "dropped", event("dropped"))
    sink.begin()  # handled again: what was sent before is forgotten
    sink.send(SEARCH_RESULTS, "kept", event("kept"))
    assert results(kafka) == []
    sink.commit(batch[:2], source.group_metadata())
    source.close()
    sink.close()
    assert results(kafka) == ["kept"]
    successor = EventSource(kafka, "g", [SEARCH_REQUESTS])
    assert [record.offset for record in take(successor, 1)] == [2]
    successor.close()


def test_an_older_worker_of_the_same_name_can_commit_nothing_more(kafka: Kafka) -> None:
    requests(kafka, 1)
    source, zombie = EventSource(kafka, "g", [SEARCH_REQUESTS]), TransactionSink(kafka, "t")
    batch = take(source, 1)
    zombie.begin()
    zombie.send(SEARCH_RESULTS, "zombie", event("zombie"))
    younger = TransactionSink(kafka, "t")
    with pytest.raises(Fenced):
        zombie.commit(batch, source.group_metadata())
    younger.begin()
    younger.send(SEARCH_RESULTS, "younger", event("younger"))
    younger.commit(batch, source.group_metadata())
    source.close()
    # The local broker shows what the older one had sent, which Kafka does not: consumers/answered.py sees to that.
    assert "younger" in results(kafka)


def test_a_transaction_whose_records_timed_out_is_undone_when_the_broker_is_back(
    broker: Broker, kafka: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infra.kafka.client.REQUEST_MS", 1_500)
    monkeypatch.setattr("infra.kafka.transactions.TRANSACTION_MS", 1_500)
    monkeypatch.setattr("infra.kafka.transactions.ANSWER_SECONDS", 1.0)
    requests(kafka, 1)
    source, sink = EventSource(kafka, "g", [SEARCH_REQUESTS]), TransactionSink(kafka, "t")
    batch = take(source, 1)
    sink.begin()
    sink.send(SEARCH_RESULTS, "first", event("first"))
    sink.arrive()
    broker.process.send_signal(signal.SIGSTOP)
    os.waitpid(broker.process.pid, os.WUNTRACED)  # until it has really stopped: it may be at something
    sink.send(SEARCH_RESULTS, "lost", event("lost"))
    with pytest.raises(Unavailable):
        sink.arrive()  # it timed out
    broker.process.send_signal(signal.SIGCONT)
    _begin(sink)
    sink.send(SEARCH_RESULTS, "again", event("again"))
    sink.commit(batch, source.group_metadata())
    source.close()
    sink.close()
    assert "again" in results(kafka)
    successor = EventSource(kafka, "g", [SEARCH_REQUESTS])
    assert successor.take(1, 1.0) == []
    successor.close()


def _begin(sink: TransactionSink, attempts: int = 10) -> None:
    """Begin as a worker does: again while the last transaction is not undone."""
    for left in reversed(range(attempts)):
        try:
            return sink.begin()
        except Unavailable:
            if not left:
                raise
