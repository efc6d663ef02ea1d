"""Three nodes of Apache Kafka: leaders are killed, again and again, under searches and item events."""

import random
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from schemas.topics import CATALOG_ITEMS, SEARCH_REQUESTS, SEARCH_RESULTS
from tests.chaos.answer_log import AnswerLog, asking, follow_answers, wait_for_answers
from tests.chaos.feed import Feed, Mix, write_feed
from tests.chaos.item_storm import index_fleet, index_the_rest
from tests.chaos.judge import catch_up, judge_items
from tests.chaos.scenario import Report, Scenario, Size
from tests.chaos.search_requests import searchable, searchable_items
from tests.chaos.sender import Sender
from tests.chaos.storm import DEADLINE_MS, judge_fleet, query_fleet
from tests.chaos.testbed import Testbed
from tests.kafka.apache import ApacheCluster, apache_cluster

KILLS, SEARCHES_A_SECOND, EVENTS_A_SECOND, ITEMS = 20, 8.0, 20.0, 200
DOWN_SECONDS = 8.0
"""How long a killed node stays down: longer than the others need to notice."""
ROUND_SECONDS = 25.0
"""The approximate time until it is back and in sync."""
LONGEST_SECONDS = 10.0
FEW = 5
"""With fewer kills, a run is a short form that shares the cores with other tests."""
FEW_DOWN_SECONDS = 30.0
"""In a small run a node stays away for so long, and no search may wait for longer: none waits for the node."""
MIX = Mix(late=0.1, duplicated=0.1, deleted=0.15)
QUERY_GROUP, INDEX_GROUP = "lookstream-query", "lookstream-index"
WATCHFUL = {
    "broker.session.timeout.ms": "2000",
    "broker.heartbeat.interval.ms": "400",
    "controller.quorum.fetch.timeout.ms": "1000",
    "controller.quorum.election.timeout.ms": "500",
}
"""How soon the controllers notice a dead broker, and a dead one of their own: after 9 s and 2 s by default, which
nobody who searches would wait."""
SESSION = {"LOOKSTREAM_KAFKA_SESSION_TIMEOUT_MS": "10000"}
"""The default: longer than the group can be without a coordinator. Else librdkafka forgets its member id, joins as
somebody new, and the new coordinator fences the one that it knew (librdkafka 2.16, issue 3437)."""


class Kill(NamedTuple):
    """What was killed, and when (seconds since 1970)."""

    what: str
    at: float


class Cluster:
    """A whole cluster in the place of one broker."""

    def __init__(self, nodes: ApacheCluster) -> None:
        self.nodes, self.bootstrap = nodes, nodes.bootstrap

    def start(self) -> None:
        """Start every node that was killed."""
        for number, node in self.nodes.nodes.items():
            if not node.is_running:
                self.nodes.start(number)

    def freeze(self) -> None:
        """Stop all nodes."""
        for node in self.nodes.nodes.values():
            node.freeze()

    def thaw(self) -> None:
        """Let all go on."""
        for node in self.nodes.nodes.values():
            node.thaw()

    def kill(self) -> None:
        """Kill all."""
        for number in self.nodes.nodes:
            self.nodes.kill(number)


def run(folder: Path, size: Size) -> Report:
    """Kill twenty leaders, of each kind in turn."""
    return _run(folder, size, WATCHFUL, {"LOOKSTREAM_KAFKA_REPLICATION": "3"})


def control(folder: Path, size: Size) -> Report:
    """The same with topics that have one replica each."""
    alone = {"min.insync.replicas": "1"}
    return _run(folder, size, WATCHFUL | alone, {"LOOKSTREAM_KAFKA_REPLICATION": "1"})


def _run(folder: Path, size: Size, cluster_settings: Mapping[str, str], settings: Mapping[str, str]) -> Report:
    report, kills = Report(), size.of(KILLS, least=2)
    seconds = kills * ROUND_SECONDS
    feed = write_feed(round(seconds * EVENTS_A_SECOND), ITEMS, size.seed, MIX, "fed")
    with (
        report.timed(),
        apache_cluster(3, settings=cluster_settings) as cluster,
        searchable(folder, None, Cluster(cluster), **SESSION, **settings) as testbed,
    ):
        _kill_under_load(report, testbed, cluster, feed, kills, random.Random(size.seed))
    report.figures |= {"kills": kills, "events": len(feed.records)}
    return report


def _kill_under_load(
    report: Report, testbed: Testbed, cluster: ApacheCluster, feed: Feed, kills: int, rng: random.Random
) -> None:
    searchers, indexers, log = query_fleet(testbed), index_fleet(testbed), AnswerLog(2)
    for fleet in (searchers, searchers, indexers):
        fleet.arrive()
    searchers.wait_until_ready()
    indexers.wait_until_ready()
    seconds, killed = kills * ROUND_SECONDS, list[Kill]()
    down, patience = (FEW_DOWN_SECONDS, FEW_DOWN_SECONDS) if kills < FEW else (DOWN_SECONDS, LONGEST_SECONDS)
    with follow_answers(testbed.kafka, log):
        with (
            asking(testbed.kafka, log, round(seconds * SEARCHES_A_SECOND), seconds, DEADLINE_MS),
            Sender(testbed.kafka).spread(feed.records, seconds),
        ):
            for number in range(kills):
                killed.append(_kill_one(cluster, number, rng, down))
                searchers.restart_ended_workers()
                indexers.restart_ended_workers()
        wait_for_answers(log, DEADLINE_MS / 1000)
    both = searchable_items().joined(feed)
    report.figures["caught up at the end, seconds"] = catch_up(testbed, both)
    log.judge(report)
    longest = max(log.seconds(), default=float("inf"))
    report.expect_at_most("longest wait for an answer, s", round(longest, 1), patience)
    for what in dict.fromkeys(kill.what for kill in killed):
        waits = [f"{_longest_wait(log, kill):.1f}" for kill in killed if kill.what == what]
        report.figures[f"longest waits, s, after the death of the {what}"] = ", ".join(waits)
    for what, fleet in (("query", searchers), ("index", indexers)):
        fleet.end()
        judge_fleet(report, fleet, testbed.folder, what)
    index_the_rest(testbed)
    judge_items(report, testbed, both)


def _longest_wait(log: AnswerLog, kill: Kill) -> float:
    """How long a search waited at most that was sent about the time of a kill."""
    about = [name for name, at in log.sent.items() if -ROUND_SECONDS / 5 < at - kill.at < ROUND_SECONDS * 4 / 5]
    return max((log.answers[name][0].at - log.sent[name] for name in about if name in log.answers), default=0.0)


def _kill_one(cluster: ApacheCluster, number: int, rng: random.Random, down_seconds: float) -> Kill:
    """Kill the leader of something that matters, and have it back in sync."""
    partition = rng.randrange(2)
    leaders: list[tuple[str, Callable[[], int]]] = [
        ("leader of requests", lambda: cluster.leader(SEARCH_REQUESTS, partition)),
        ("coordinator of query workers", lambda: cluster.coordinator(QUERY_GROUP)),
        ("leader of items", lambda: cluster.leader(CATALOG_ITEMS, partition)),
        ("coordinator of transactions", lambda: cluster.transaction_coordinator(f"{QUERY_GROUP}-q0")),
        ("leader of results", lambda: cluster.leader(SEARCH_RESULTS, partition)),
        ("coordinator of index workers", lambda: cluster.coordinator(INDEX_GROUP)),
    ]
    what, leader = leaders[number % len(leaders)]
    node = leader()
    kill = Kill(what, time.time())
    cluster.kill(node)
    time.sleep(down_seconds)
    cluster.start(node)
    cluster.wait_in_sync()
    return kill


SCENARIO = Scenario(
    name="leader killed",
    promise="Three nodes of which one that leads is killed, 20 times, one at a time, under searches and item "
    "events: 0 lost, 0 doubled, no worker ends, no raw error in a log, and no search waits longer than 10 s",
    run=run,
    control=control,
    short=0.1,
    brokers=("apache",),
)
