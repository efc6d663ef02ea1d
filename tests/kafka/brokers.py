"""Kafka for tests: a broker of the test's own, or a prefix of its own in the broker that the run shares."""

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

from confluent_kafka.admin import AdminClient

from infra.config.kafka import KafkaSettings
from infra.kafka import create_topics
from infra.local.ports import LOOPBACK, find_free_port
from infra.local.services import broker_service
from schemas.topics import all_topics
from tests.kafka.apache import apache_node
from tests.kafka.shared import new_prefix, shared_bootstrap
from tests.service_process import run_service

LOCAL: Mapping[str, int | str] = {"session_timeout_ms": 1_000, "fetch_wait_ms": 2, "membership": "dynamic"}
"""Members join the local broker in half a second. With two static members, the first gets no partitions."""
APACHE: Mapping[str, int | str] = {"session_timeout_ms": 3_000, "fetch_wait_ms": 10}
"""A short session: the group soon notices a killed member."""


@dataclass(frozen=True)
class Broker:
    """A broker of a test's own, whose process may be stopped: the local one, or a node of Apache Kafka."""

    process: "subprocess.Popen[bytes]"
    port: int

    @property
    def bootstrap(self) -> str:
        """Its address."""
        return f"{LOOPBACK}:{self.port}"


@contextmanager
def open_broker() -> Iterator[Broker]:
    """A broker without topics: Apache Kafka where the run is on it."""
    if shared_bootstrap() is None:
        port = find_free_port(0)
        with run_service(broker_service(port)) as process:
            yield Broker(process, port)
    else:
        with apache_node() as node:
            yield Broker(node.process, int(node.bootstrap.rpartition(":")[2]))


@contextmanager
def open_kafka() -> Iterator[KafkaSettings]:
    """All topics for one test: in a local broker, or under a prefix in the shared Kafka."""
    shared = shared_bootstrap()
    if shared is None:
        with open_broker() as broker:
            yield create_all_topics(broker.bootstrap)
    else:
        kafka = create_all_topics(shared, new_prefix())
        yield kafka
        # No test waits for the deletion: it only keeps the broker small.
        _admin(shared).delete_topics([kafka.prefix + topic.name for topic in all_topics()])


def create_all_topics(bootstrap: str, prefix: str = "") -> KafkaSettings:
    """Create all topics in the Kafka at this address; its settings."""
    kafka = KafkaSettings.model_validate(
        {"bootstrap": bootstrap, "prefix": prefix, **(APACHE if shared_bootstrap() else LOCAL)}
    )
    create_topics(kafka, all_topics())
    return kafka


@cache
def _admin(bootstrap: str) -> AdminClient:
    return AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
