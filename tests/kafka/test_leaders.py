"""Leaders of three nodes: acknowledged records survive the death of a leader."""

from contextlib import closing

import pytest

from infra.config.kafka import KafkaSettings
from infra.kafka import EventSink, Record, TopicReader, create_topics
from schemas.envelope import Event
from schemas.items import ItemDeleted
from schemas.topics import CATALOG_ITEMS, all_topics
from tests.kafka.apache import ApacheCluster

KEY = "default:one"
BEFORE, AFTER = 200, 50
"""Records that are sent before the leader is killed, most of them still on their way, and after it."""


@pytest.fixture
def kafka(kafka_cluster: ApacheCluster) -> KafkaSettings:
    """The cluster with all topics, each partition on three nodes."""
    kafka = KafkaSettings(bootstrap=kafka_cluster.bootstrap, replication=3)
    create_topics(kafka, all_topics())
    kafka_cluster.wait_in_sync()
    return kafka


def send(sink: EventSink, revisions: range) -> None:
    for revision in revisions:
        sink.send(CATALOG_ITEMS, KEY, Event(ItemDeleted(item_id="one", revision=revision)))


def read(reader: TopicReader, count: int) -> list[Record]:
    """So many records, or fewer when no more come, and one more if there is one."""
    found: list[Record] = []
    while len(found) <= count and (record := reader.poll(30 if len(found) < count else 2)) is not None:
        found.append(record)
    return found


def test_what_is_sent_while_its_leader_is_killed_arrives_once_and_in_order(
    kafka_cluster: ApacheCluster, kafka: KafkaSettings
) -> None:
    with closing(EventSink(kafka)) as sink, closing(TopicReader(kafka, CATALOG_ITEMS)) as reader:
        send(sink, range(1, 2))
        sink.flush()
        [(_, partition)] = sink.arrived
        for turn in range(2):
            start = 2 + turn * (BEFORE + AFTER)
            leader = kafka_cluster.leader(CATALOG_ITEMS, partition)
            send(sink, range(start, start + BEFORE))
            kafka_cluster.kill(leader)
            assert kafka_cluster.leader(CATALOG_ITEMS, partition) != leader
            send(sink, range(start + BEFORE, start + BEFORE + AFTER))
            sink.flush()
            kafka_cluster.start(leader)
            kafka_cluster.wait_in_sync()
        sent = 1 + 2 * (BEFORE + AFTER)
        found = read(reader, sent)
    assert [ItemDeleted.model_validate_json(record.value or b"").revision for record in found] == [
        *range(1, sent + 1)
    ]


def test_the_coordinator_of_a_group_is_the_one_that_kafka_names(kafka_cluster: ApacheCluster) -> None:
    groups = [f"group-{n}" for n in range(8)]
    described = kafka_cluster.admin().describe_consumer_groups(groups)
    named = {group: future.result().coordinator.id for group, future in described.items()}
    assert {group: kafka_cluster.coordinator(group) for group in groups} == named
    assert len(set(named.values())) > 1
