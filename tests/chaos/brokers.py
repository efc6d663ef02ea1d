"""The broker of a chaos test: the local one, or a node of Apache Kafka, as a process that is frozen or killed."""

import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Literal, Protocol

from infra.config.kafka import KafkaSettings
from infra.local.ports import LOOPBACK, find_free_port, is_listening
from infra.local_state import local_kafka, read_local_state
from tests.chaos.processes import Process, wait_for
from tests.end_to_end.system import System
from tests.kafka.apache import apache_node

Kind = Literal["local", "apache"]
KINDS: tuple[Kind, ...] = ("local", "apache")
_chosen: ContextVar[Kind] = ContextVar("chosen", default="local")


class Broker(Protocol):
    """One broker that runs on its own."""

    bootstrap: str

    def start(self) -> None:
        """Start it again after it was killed, and wait until it answers."""

    def freeze(self) -> None:
        """Freeze it: connections stay open, without answers."""

    def thaw(self) -> None:
        """Let it go on as if nothing had happened."""

    def kill(self) -> None:
        """kill -9, and wait until it is gone."""


@contextmanager
def brokers_of(kind: Kind) -> Iterator[None]:
    """Have every chaos test inside use brokers of this kind."""
    token = _chosen.set(kind)
    try:
        yield
    finally:
        _chosen.reset(token)


def kind_of_brokers() -> Kind:
    """The kind of brokers that chaos tests use now."""
    return _chosen.get()


def run_broker(folder: Path) -> AbstractContextManager[Broker]:
    """A broker of the chosen kind, ready and without topics; gone at the end."""
    return apache_node() if kind_of_brokers() == "apache" else _local_broker(folder)


@contextmanager
def broker_for_up(folder: Path) -> Iterator[tuple[Broker | None, Mapping[str, str]]]:
    """For `lookstream up`: nothing, since it starts the local broker; or a broker and the setting that names it."""
    if kind_of_brokers() == "local":
        yield None, {}
        return
    with run_broker(folder) as broker:
        yield broker, {"LOOKSTREAM_KAFKA_BOOTSTRAP": broker.bootstrap}


def second_kafka(system: System) -> KafkaSettings:
    """How to reach the broker that a running system uses."""
    named = system.environment.get("LOOKSTREAM_KAFKA_BOOTSTRAP")
    if named is not None:
        return KafkaSettings(bootstrap=named, prefix=system.environment.get("LOOKSTREAM_KAFKA_PREFIX", ""))
    running = read_local_state(system.folder)
    assert running is not None, "the system runs"
    assert running.bootstrap is not None, "it has a broker of its own"
    return local_kafka(KafkaSettings(), running.bootstrap)


class LocalBroker:
    """The broker of `lookstream up`; its topics are in memory, and gone when it is killed."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._port = folder, find_free_port(0)
        self.bootstrap = f"{LOOPBACK}:{self._port}"
        self.start()

    def start(self) -> None:
        """Start it."""
        self._process = Process("tests.chaos.broker", [str(self._port)], os.environ, self._folder / "broker.log")
        wait_for(lambda: is_listening((LOOPBACK, self._port)), "the broker", self._process)

    def freeze(self) -> None:
        """Stop it in its tracks."""
        self._process.freeze()

    def thaw(self) -> None:
        """Let it go on."""
        self._process.thaw()

    def kill(self) -> None:
        """Kill it."""
        self._process.kill()


@contextmanager
def _local_broker(folder: Path) -> Iterator[Broker]:
    broker = LocalBroker(folder)
    try:
        yield broker
    finally:
        broker.kill()
