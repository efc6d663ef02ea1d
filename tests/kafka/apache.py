"""Apache Kafka for tests: one node, or a cluster whose nodes can be killed one by one.

    with apache_node() as node:
        Kafka(bootstrap=node.bootstrap)

    with apache_cluster(3) as cluster:
        cluster.kill(cluster.leader("search.requests", 0))

`python -m tests.kafka.apache --nodes 3` runs one until Ctrl-C.
"""

import argparse
import base64
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._metadata import ClusterMetadata

from infra.local.ports import LOOPBACK, claim_port, port_of
from tests.kafka.jars import class_archive, jar_folder, java, kafka_version, make_once
from tests.kafka.properties import INTERNAL_PARTITIONS, Access, Plan, Ports, node_properties, scram_options

START_SECONDS = 180
"""How long a start may take on a machine that does much else."""
OFFSETS, TRANSACTIONS = "__consumer_offsets", "__transaction_state"
"""Kafka's own topics; who leads the partition of a group or transactional id coordinates it."""
JVM = (
    "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.awt.headless=true",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
)  # fmt: skip


class ApacheNode:
    """One node, broker and controller: `bootstrap` is its listener for clients."""

    def __init__(self, plan: Plan, number: int, folder: Path, *options: str) -> None:
        self.number, self.folder, self.log = number, folder, folder / "log.txt"
        self.bootstrap = f"{LOOPBACK}:{plan.ports[number].clients}"
        self.internal = f"{LOOPBACK}:{plan.ports[number].internal}"
        self._file, self._access = folder / "node.properties", plan.access
        jars = ":".join(map(str, sorted(jar_folder(kafka_version()).iterdir())))
        self._jvm = [java(), *JVM, *options, "-cp", jars]
        self._admin = _admin(self.internal)
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None
        folder.mkdir()
        self._file.write_text(node_properties(plan, number, str(folder / "data")))

    @property
    def process(self) -> "subprocess.Popen[bytes]":
        """Its JVM."""
        assert self._process is not None, f"node {self.number} was never started"
        return self._process

    @property
    def is_running(self) -> bool:
        """Whether its JVM lives, frozen or not."""
        return self._process is not None and self._process.poll() is None

    def admin(self) -> AdminClient:
        """An admin client that may do everything, to create ACLs for example."""
        return self._admin

    def format(self, cluster: str) -> None:
        """Prepare its data folder, as a member of the cluster with this id."""
        # An id may begin with a hyphen, as one in sixty-four does.
        options = [f"--cluster-id={cluster}", "-c", str(self._file), *scram_options(self._access)]
        command = self._command("kafka.tools.StorageTool", "format", *options)
        done = subprocess.run(command, capture_output=True, text=True, timeout=START_SECONDS, check=False)
        assert done.returncode == 0, f"Kafka's storage tool: {done.stdout}{done.stderr}"

    def launch(self) -> None:
        """Start its process."""
        assert not self.is_running, f"node {self.number} runs already"
        with self.log.open("ab") as log:
            # A session of its own: Ctrl-C ends the tests first, and they end the node.
            self._process = subprocess.Popen(
                self._command("kafka.Kafka", str(self._file)), stdout=log, stderr=log, start_new_session=True
            )
        # However this process ends, the pipe is closed then, and the guard kills the node.
        guard = 'read -r _; kill -9 "$1"; rm -rf "$2"'
        self._guard = subprocess.Popen(
            ["sh", "-c", guard, "guard", str(self._process.pid), str(self.folder)],
            stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip

    def wait_until_ready(self, brokers: int = 1) -> None:
        """Wait until it answers, and knows this many live brokers, itself among them."""
        admin = self.admin()

        def is_ready() -> bool:
            assert self.is_running, f"node {self.number} ended:\n{self.log.read_text()[-4_000:]}"
            known = metadata_of(admin)
            return known is not None and self.number in known.brokers and len(known.brokers) >= brokers

        wait_for(is_ready, f"node {self.number} to be ready")

    def start(self) -> None:
        """Start it, with the data that it has, and wait until it is ready."""
        self.launch()
        self.wait_until_ready()

    def stop(self) -> None:
        """End it in an orderly way: first it hands over the partitions that it leads."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once."""
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """Freeze its process: connections stay open, without answers."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self.process.send_signal(signal.SIGCONT)

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(how)
            self._process.send_signal(signal.SIGCONT)
            try:
                self._process.wait(START_SECONDS)
            finally:
                self._process.kill()
                self._process.wait()
        if self._guard is not None:
            self._guard.kill()
            self._guard.communicate()

    def _command(self, main: str, *words: str) -> list[str]:
        return [*self._jvm, main, *words]


class ApacheCluster:
    """Nodes numbered from 1: three replicas of each partition, of which two must be in sync for a write."""

    def __init__(self, nodes: Mapping[int, ApacheNode]) -> None:
        self.nodes = nodes
        self.bootstrap = ",".join(node.bootstrap for node in nodes.values())
        self._admin = _admin(",".join(node.internal for node in nodes.values()))

    def admin(self) -> AdminClient:
        """An admin client that may do everything, by any node that runs."""
        return self._admin

    def kill(self, number: int) -> None:
        """End a node at once."""
        self.nodes[number].kill()

    def stop(self, number: int) -> None:
        """End a node politely."""
        self.nodes[number].stop()

    def start(self, number: int) -> None:
        """Start a node again, and wait until it serves; its replicas may still be behind (`wait_in_sync`)."""
        self.nodes[number].start()

    def leader(self, topic: str, partition: int) -> int:
        """The number of the node that leads a partition; waits for one that runs."""
        found: list[int] = []

        def has_leader() -> bool:
            known = metadata_of(self.admin())
            parts = known.topics[topic].partitions if known and topic in known.topics else {}
            leader = parts[partition].leader if partition in parts else -1
            found[:] = [leader]
            return leader in self.nodes and self.nodes[leader].is_running

        wait_for(has_leader, f"a leader of {topic}/{partition}")
        return found[0]

    def coordinator(self, group: str) -> int:
        """The number of the node that coordinates a consumer group."""
        return self._leader_for(group, OFFSETS)

    def transaction_coordinator(self, transactional_id: str) -> int:
        """The number of the node that coordinates the transactions with this id."""
        return self._leader_for(transactional_id, TRANSACTIONS)

    def wait_in_sync(self) -> None:
        """Wait until every node lives and every replica is in sync: then any one may be killed."""

        def is_in_sync() -> bool:
            known = metadata_of(self.admin())
            if known is None or len(known.brokers) < len(self.nodes):
                return False
            parts = [part for topic in known.topics.values() for part in topic.partitions.values()]
            return all(part.leader > 0 and len(part.isrs) == len(part.replicas) for part in parts)

        wait_for(is_in_sync, "the cluster to be in sync")

    def _leader_for(self, name: str, topic: str) -> int:
        """Kafka chooses the partition by Java's hash of the name."""
        return self.leader(topic, abs(java_hash(name)) % INTERNAL_PARTITIONS)


@contextmanager
def apache_node(access: Access | None = None, settings: Mapping[str, str] | None = None) -> Iterator[ApacheNode]:
    """One node, ready; its JVM is gone at the end, also when this process is killed."""
    with apache_cluster(1, access, settings) as cluster:
        yield cluster.nodes[1]


@contextmanager
def apache_cluster(
    size: int = 3, access: Access | None = None, settings: Mapping[str, str] | None = None
) -> Iterator[ApacheCluster]:
    """A cluster of nodes, ready and in sync; their JVMs are gone at the end, also when this process is killed.

    `settings` are Kafka's own, for each node: {"broker.session.timeout.ms": "6000"}.
    """
    archive = class_archive(kafka_version())
    make_once(archive, _archive_classes)
    with _running(size, access, settings or {}, f"-XX:SharedArchiveFile={archive}") as cluster:
        yield cluster


def _archive_classes(path: Path) -> None:
    with _running(1, None, {}, f"-XX:ArchiveClassesAtExit={path}") as cluster:
        cluster.stop(1)
    path.touch()  # a JVM that wrote none, now or later, starts without one


@contextmanager
def _running(size: int, access: Access | None, settings: Mapping[str, str], option: str) -> Iterator[ApacheCluster]:
    claims = [[claim_port(0) for _ in range(3)] for _ in range(size)]
    folder = Path(tempfile.mkdtemp(prefix="lookstream-kafka-"))
    nodes: dict[int, ApacheNode] = {}
    try:
        ports = {n + 1: Ports(*map(port_of, claims[n])) for n in range(size)}
        plan = Plan(ports, access, settings)
        nodes |= {number: ApacheNode(plan, number, folder / str(number), option) for number in ports}
        identity = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        for node in nodes.values():
            node.format(identity)
        for node in nodes.values():
            node.launch()
        for node in nodes.values():
            node.wait_until_ready(size)
        cluster = ApacheCluster(nodes)
        _open_coordinators(cluster)
        yield cluster
    finally:
        for node in nodes.values():
            node.kill()
        for claim in (claim for three in claims for claim in three):
            claim.close()
        shutil.rmtree(folder, ignore_errors=True)


def metadata_of(admin: AdminClient) -> ClusterMetadata | None:
    """The cluster's metadata of brokers and topics; None while no broker answers."""
    try:
        return admin.list_topics(timeout=5)
    except KafkaException:
        return None


def wait_for(condition: Callable[[], bool], what: str, seconds: float = START_SECONDS) -> None:
    """Check a condition repeatedly until it holds."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, f"waited {seconds} s for {what}"
        time.sleep(0.05)


def java_hash(text: str) -> int:
    """Java's String.hashCode, by which Kafka chooses the coordinator of a group or transactional id."""
    units = memoryview(text.encode("utf-16-le")).cast("H")
    total = 0
    for unit in units:
        total = (31 * total + unit) & 0xFFFF_FFFF
    return total - (1 << 32) if total >= 1 << 31 else total


def _open_coordinators(cluster: ApacheCluster) -> None:
    """Kafka makes its own topics when they are first needed, and answers "not yet" meanwhile."""
    addresses = {"bootstrap.servers": ",".join(node.internal for node in cluster.nodes.values()), "log_level": 0}
    producer = Producer({**addresses, "transactional.id": "ready"})
    consumer = Consumer({**addresses, "group.id": "ready"})
    wait_for(lambda: _succeeds(lambda: producer.init_transactions(10)), "transactions to be coordinated")
    places = [TopicPartition(TRANSACTIONS, 0)]
    wait_for(lambda: _succeeds(lambda: consumer.committed(places, 10)), "groups to be coordinated")
    consumer.close()


def _succeeds(call: Callable[[], object]) -> bool:
    try:
        call()
    except KafkaException:
        return False
    return True


def _admin(addresses: str) -> AdminClient:
    return AdminClient({"bootstrap.servers": addresses, "log_level": 0, "reconnect.backoff.max.ms": 200})


def main() -> None:
    """Run nodes until Ctrl-C."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--nodes", type=int, default=1)
    try:
        with apache_cluster(parser.parse_args().nodes) as cluster:
            print(f"LOOKSTREAM_KAFKA_BOOTSTRAP={cluster.bootstrap}", flush=True)
            signal.pause()
    except KeyboardInterrupt:
        print("stopped")


if __name__ == "__main__":
    main()
