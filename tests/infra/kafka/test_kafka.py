"""Kafka, over a real broker: paused partitions, commits, replies, and failed deliveries."""

import threading
import time
from collections import defaultdict
from contextlib import closing
from pathlib import Path

import pytest
from confluent_kafka import KafkaError
from pydantic import SecretStr

from infra.config.kafka import KafkaSettings
from infra.kafka import (
    Batch,
    BufferLimits,
    EventSink,
    EventSource,
    OutgoingRecord,
    Record,
    RecordRefused,
    ReplyReader,
    TopicReader,
    check_broker,
    create_topics,
)
from infra.kafka.config import client_config
from infra.kafka.sink import FENCED_CODES
from infra.kafka.source import MAX_PREFETCH_RECORDS
from schemas.envelope import Event
from schemas.failures import Unavailable
from schemas.items import ItemDeleted
from schemas.topics import CATALOG_ITEMS, ITEM_OUTCOMES, SEARCH_RESULTS, all_topics


def event(item: str) -> Event:
    return Event(ItemDeleted(item_id=item, revision=1))


def keys(records: list[Record]) -> set[str]:
    return {(record.key or b"").decode() for record in records}


def take_all(source: EventSource, count: int, seconds: float = 15) -> list[Record]:
    records: list[Record] = []
    until = time.monotonic() + seconds
    while len(records) < count and time.monotonic() < until:
        records += source.poll_batch(64, 0.05).records
    return records


def test_topics_are_created_once(kafka: KafkaSettings) -> None:
    assert create_topics(kafka, all_topics()) == []


def test_what_is_taken_ahead_is_bounded_and_nothing_of_it_is_missing(kafka: KafkaSettings) -> None:
    sink, room = EventSink(kafka), BufferLimits(records=50)
    for n in range(600):
        sink.send(CATALOG_ITEMS, str(n), event(str(n)))
    sink.flush()
    source = EventSource(kafka, "g", [CATALOG_ITEMS], room=room)
    first, most = take_all(source, 1), 0
    until = time.monotonic() + 1
    while time.monotonic() < until:  # as while a batch is being worked on
        source.prefetch()
        most = max(most, source.buffered_count)
    rest = take_all(source, 600 - len(first))
    source.close()
    assert room.records <= most < 2 * room.records + MAX_PREFETCH_RECORDS
    assert keys(first + rest) == {str(n) for n in range(600)}
    assert len(first + rest) == 600


def test_a_record_that_is_not_due_waits_and_so_do_those_behind_it(kafka: KafkaSettings) -> None:
    sink = EventSink(kafka)
    for n in range(3):
        sink.send(CATALOG_ITEMS, "one-key", event(str(n)))
    sink.flush()
    due = {1: time.time() + 3_600}
    source = EventSource(kafka, "g", [CATALOG_ITEMS], lambda record: due.get(record.offset, 0))
    early = [record.offset for record in take_all(source, 1)] + [
        r.offset for r in source.poll_batch(64, 0.05).records
    ]
    assert early == [0]
    due.clear()
    assert [record.offset for record in take_all(source, 2)] == [1, 2]
    source.close()


def test_the_next_member_continues_after_the_committed_offset(kafka: KafkaSettings) -> None:
    sink = EventSink(kafka)
    for n in range(10):
        sink.send(CATALOG_ITEMS, "one-key", event(str(n)))
    sink.flush()
    first = EventSource(kafka, "g", [CATALOG_ITEMS])
    batch = Batch()
    while len(batch.records) < 10:
        batch = batch + first.poll_batch(64, 0.05)
    first.mark_finished(batch.only(batch.records[:4]))
    first.commit_sync()
    first.close()
    second = EventSource(kafka, "g", [CATALOG_ITEMS])
    assert [r.offset for r in take_all(second, 6)] == [4, 5, 6, 7, 8, 9]
    second.close()


@pytest.mark.local_broker("it makes a member wait before it has joined")
def test_a_member_that_leaves_while_it_joins_does_not_block_others(kafka: KafkaSettings) -> None:
    hasty = EventSource(kafka, "g", [CATALOG_ITEMS])
    hasty.poll_batch(1, 0.01, idle_seconds=0.3)  # it has asked to join, and the broker makes it wait for others
    assert not hasty.assigned
    hasty.close()
    successor = EventSource(kafka, "g", [CATALOG_ITEMS])
    take_all(successor, 1, seconds=5)
    assert successor.assigned
    successor.close()


def test_a_reader_sees_what_comes_after_it_was_made_and_a_rewound_one_everything(kafka: KafkaSettings) -> None:
    sink = EventSink(kafka)
    sink.send(ITEM_OUTCOMES, "early", event("early"))
    sink.flush()
    late, whole = TopicReader(kafka, ITEM_OUTCOMES), TopicReader(kafka, ITEM_OUTCOMES)
    whole.rewind()
    sink.send(ITEM_OUTCOMES, "late", event("late"))
    sink.flush()
    received = [record for record in (late.poll(2), late.poll(0.3)) if record is not None]
    assert "late" in keys(received)
    all_received = [record for record in (whole.poll(2), whole.poll(2)) if record is not None]
    assert keys(all_received) == {"early", "late"}
    late.close()
    whole.close()


def test_a_reply_reader_hears_its_own_partition(kafka: KafkaSettings) -> None:
    reader, sink = ReplyReader(kafka, SEARCH_RESULTS), EventSink(kafka)
    sink.send(SEARCH_RESULTS, "other", event("other"), partition=1 - reader.partition)
    sink.send(SEARCH_RESULTS, "mine", event("mine"), partition=reader.partition)
    sink.flush()
    record = reader.poll(3)
    assert record is not None
    assert (record.key, reader.poll(0.2)) == (b"mine", None)
    reader.close()


def test_headers_tombstones_and_bytes_arrive_as_they_were_sent(kafka: KafkaSettings) -> None:
    sink, source = EventSink(kafka), EventSource(kafka, "g", [CATALOG_ITEMS])
    sink.send_record(OutgoingRecord(CATALOG_ITEMS, b"\xff\x00", None, {"empty": None, "bytes": b"\xfe"}))
    sink.flush()
    [record] = take_all(source, 1)
    source.close()
    assert (record.key, record.value, dict(record.headers)) == (
        b"\xff\x00",
        None,
        {"empty": None, "bytes": b"\xfe"},
    )


def deliver(sink: EventSink, partition: int | None = None) -> None:
    sink.send(CATALOG_ITEMS, "k", event("x"), partition=partition)
    sink.flush()


def test_a_delivery_that_fails_is_unavailable_and_not_silent(kafka: KafkaSettings) -> None:
    sink = EventSink(kafka)
    # A client that already knows the topic's partitions refuses the record at once, another one in the flush.
    with pytest.raises(Unavailable, match=r"were not delivered|was not taken"):
        deliver(sink, partition=4_000)
    deliver(sink)


def test_a_record_that_is_too_large_is_refused_at_once_with_its_size(kafka: KafkaSettings) -> None:
    record = OutgoingRecord(CATALOG_ITEMS, b"k", b"x" * (kafka.record_bytes + 1))
    with pytest.raises(RecordRefused, match=r"a record for catalog\.items \(8,000,002 bytes\) was not taken"):
        EventSink(kafka).send_record(record)


def test_a_record_that_the_broker_refuses_is_replaced_by_its_fallback(kafka: KafkaSettings) -> None:
    with closing(TopicReader(kafka, ITEM_OUTCOMES)) as reader, closing(EventSink(kafka)) as sink:
        short = OutgoingRecord(ITEM_OUTCOMES, b"short", b"")
        sink.send_record(OutgoingRecord(ITEM_OUTCOMES, b"nowhere", b"", partition=4_000, fallback=short))
        sink.flush()
        record = reader.poll(10)
    assert record is not None
    assert record.key == b"short"


def test_a_topic_that_does_not_exist_is_named_with_the_remedy(kafka: KafkaSettings) -> None:
    with pytest.raises(Unavailable, match="lookstream topics create"):
        TopicReader(kafka, "no.such.topic")


def test_a_broker_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.kafka.config.ANSWER_SECONDS", 0.3)
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:1: start it, or correct LOOKSTREAM_KAFKA_BOOTSTRAP"):
        check_broker(KafkaSettings(bootstrap="127.0.0.1:1"))


def test_a_producer_that_the_broker_refuses_is_replaced_after_its_delivery_reports(
    kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink, reader = EventSink(kafka), TopicReader(kafka, ITEM_OUTCOMES)
    sink.send_record(OutgoingRecord(ITEM_OUTCOMES, b"k", b"before", {}))
    first = sink.producer
    monkeypatch.setattr(sink, "_is_rejected", True)  # what a delivery that was refused so leaves behind
    sink.send_record(OutgoingRecord(ITEM_OUTCOMES, b"k", b"after", {}))
    assert sink.producer is not first
    assert len(first) == 0, "whoever waits for it has been told"
    sink.flush()
    assert [record.value for _ in range(2) if (record := reader.poll(5))] == [b"before", b"after"]
    reader.close()


@pytest.mark.parametrize("code", sorted(FENCED_CODES))
def test_a_producer_without_a_transactional_id_is_never_fenced_for_good(
    kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """The local broker refuses the epoch of a producer whose records timed out while it was frozen."""
    sink, record = EventSink(kafka), OutgoingRecord(ITEM_OUTCOMES, b"k", b"v", {})
    refused = {threading.get_ident(): [(record, KafkaError(code))]}
    monkeypatch.setattr(sink, "_failed", defaultdict(list, refused))
    with pytest.raises(Unavailable, match="the next record gets a new producer"):
        sink.flush()
    sink.close()


def test_security_settings_reach_the_client_in_its_own_words() -> None:
    config = client_config(
        KafkaSettings(
            bootstrap="k:1",
            security_protocol="SASL_SSL",
            sasl_mechanism="SCRAM-SHA-512",
            sasl_username="me",
            sasl_password=SecretStr("secret"),
            ssl_ca=Path("/ca.pem"),
        )
    )
    count = {
        "bootstrap.servers": "k:1",
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "me",
        "sasl.password": "secret",
        "ssl.ca.location": "/ca.pem",
    }
    assert count.items() <= config.items()
    assert "ssl.key.location" not in config
